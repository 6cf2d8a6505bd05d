import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import setuptools

from tf_autosample.extras import EXTRAS

ROOT = Path(__file__).parent.parent
ORDER = (
    "extras data batches samplers evaluation models search report export serving testing cli"
).split()
LIGHT = "extras data evaluation.metrics search.strategies serving cli".split()
HEAVY = {"grpc", "keras", "matplotlib", "polars", "scipy", "tensorflow", "tensorflow_recommenders"}


def source_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(set(source_files("tf_autosample")) - {ROOT / "tf_autosample" / "__init__.py"})
# The room of every public name: "from .samplers import X as X" in the stub.
HOME = {
    alias.name: node.module.split(".")[0] if node.module else alias.name
    for node in ast.parse((ROOT / "tf_autosample" / "__init__.pyi").read_text("utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}


def absolute_imports(source: str, name: str, is_package: bool) -> Iterator[str]:
    """Every imported dotted name, at any depth; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")
            anchor = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*anchor, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def backward_imports(source: str, name: str, is_package: bool = False) -> list[str]:
    """Imports of a module of the library that stands behind the importing one in ORDER."""
    own = name.split(".")[1]
    found = []
    for imported in absolute_imports(source, name, is_package):
        package, _, rest = imported.partition(".")
        target = rest.split(".")[0]
        target = HOME.get(target, target)
        if package != "tf_autosample" or target in ("", own, "__version__"):
            continue
        if ORDER.index(target) >= ORDER.index(own):
            found.append(imported)
    return found


@pytest.mark.parametrize(
    "statement",
    [
        "import tf_autosample.export",
        "from tf_autosample import report",
        "from tf_autosample.export import index",
        "from .. import export",
        "from ..serving.client import ServingClient",
        "def late():\n    from tf_autosample import cli",
    ],
)
def test_an_import_that_points_back_is_found(statement):
    assert len(backward_imports(statement, "tf_autosample.models.graph")) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "import numpy",
        "from tf_autosample import Interactions, __version__",
        "from ..samplers import UniformSampler",
        "from . import factorization",
        "from .factorization import MatrixFactorization",
    ],
)
def test_an_import_that_points_forward_passes(statement):
    assert backward_imports(statement, "tf_autosample.models.graph") == []


def test_a_package_resolves_its_own_relative_imports():
    assert backward_imports("from .. import cli", "tf_autosample.export", is_package=True)
    assert backward_imports("from . import cli", "tf_autosample.export", is_package=True) == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_one_way(path):
    name = module_name(path)
    assert name.split(".")[1] in ORDER
    assert backward_imports(path.read_text("utf-8"), name, path.name == "__init__.py") == []


def test_the_library_never_imports_pytest():
    sources = [(path.read_text("utf-8"), module_name(path)) for path in MODULES]
    imported = [one for source in sources for one in absolute_imports(*source, False)]
    assert imported and not [one for one in imported if one.split(".")[0] == "pytest"]


def test_packages_linked_at_the_top_are_never_imported_by_their_bare_name():
    folders = ("tests", "benchmarks", "examples", "tools", "docs")
    files = [*MODULES, *(path for folder in folders for path in source_files(folder))]
    bare = [
        (module_name(path), imported)
        for path in files
        for imported in absolute_imports(
            path.read_text("utf-8"), module_name(path), path.name == "__init__.py"
        )
        if imported.split(".")[0] in ("export", "serving")
    ]
    assert bare == []


def test_light_modules_load_nothing_heavy():
    names = ["tf_autosample", *(f"tf_autosample.{name}" for name in LIGHT)]
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    print(name, *({HEAVY!r} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == names


@pytest.fixture
def required(monkeypatch) -> dict[str | None, set[str]]:
    """Names of the packages that setup.py asks for, by extra; the core's under None."""
    settings = {}
    monkeypatch.setattr(setuptools, "setup", settings.update)
    runpy.run_path(str(ROOT / "setup.py"))
    asked = {None: settings["install_requires"], **settings["extras_require"]}
    return {
        extra: {re.match(r"[\w.-]+", line)[0] for line in lines} for extra, lines in asked.items()
    }


def test_each_extra_brings_the_modules_that_the_hint_names(required):
    files, report, cli = (set(EXTRAS[extra][1]) for extra in ("files", "report", "cli"))
    assert (required["files"], required["report"]) == (files, report)
    assert required["cli"] == files | report | cli
    assert required["cli"] <= required["dev"]


def test_every_import_of_the_library_is_a_requirement_of_the_core_or_of_an_extra(required):
    known = set().union(*(required[extra] for extra in (None, "cli", "files", "report")))
    distributions = packages_distributions()
    imported = {
        name.split(".")[0]
        for path in MODULES
        for name in absolute_imports(
            path.read_text("utf-8"), module_name(path), path.name == "__init__.py"
        )
    } - {"tf_autosample", *sys.stdlib_module_names}
    assert {"google", "grpc", "polars", "typer"} <= imported
    unknown = {
        name
        for name in imported
        if not known & {found.lower().replace("_", "-") for found in distributions.get(name, [])}
    }
    assert unknown == set()

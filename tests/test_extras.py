"""The core works without any extra, and what needs one says which command brings it."""

import subprocess
import sys

import pytest

from tf_autosample.extras import EXTRAS, MissingExtra, explain_missing

WITHOUT = """
import sys
class Without:
    def find_spec(name, path=None, target=None):
        if name in {!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without)
"""
READ = "from tf_autosample import read_interactions; read_interactions('log.csv')"
DRAW = "from tf_autosample.report.text import curves_text; curves_text({})"
COMMAND = "import sys; sys.argv = ['autosample', {!r}]; from tf_autosample.cli import main; main()"


def run_without(missing: set[str], program: str, folder) -> subprocess.CompletedProcess:
    (folder / "log.csv").write_text("user_id,item_id\n1,2\n")
    program = WITHOUT.format(missing) + program
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("missing", "program", "extra"),
    [
        ("polars", READ, "files"),
        ("matplotlib", "from tf_autosample import report", "report"),
        ("jinja2", "import tf_autosample.report", "report"),
        ("plotext", DRAW, "report"),
        ("typer", COMMAND.format("--help"), "cli"),
        ("rich", COMMAND.format("demo"), "cli"),
        ("matplotlib", COMMAND.format("demo"), "report"),
    ],
)
def test_what_needs_an_extra_names_the_command_that_brings_it(missing, program, extra, tmp_path):
    done = run_without({missing}, program, tmp_path)
    sentence = f"{missing}, which is not installed. Run: pip install 'tf_autosample[{extra}]'"
    assert done.stderr.rstrip().endswith(sentence)
    assert done.returncode == (2 if "argv" in program else 1)
    assert ("Traceback" in done.stderr) == ("argv" not in program)


def test_core_imports_every_public_name_but_the_report_without_any_extra(tmp_path):
    program = (
        "import tf_autosample as ta\n"
        "for name in set(ta.__all__) - {'report'}: getattr(ta, name)\n"
        "print(ta.MatrixFactorization(3, 4, ta.UniformSampler(), dim=2, seed=1).name)"
    )
    missing = {module for _, modules in EXTRAS.values() for module in modules} - {"rich"}
    done = run_without(missing, program, tmp_path)  # Keras brings rich
    assert done.returncode == 0, done.stderr
    assert done.stdout == "matrix_factorization\n"


def test_a_missing_module_of_nobodys_extra_stays_the_error_that_it_is():
    with pytest.raises(ModuleNotFoundError, match="no_such_module") as caught, explain_missing():
        import no_such_module  # noqa: F401
    assert not isinstance(caught.value, MissingExtra)

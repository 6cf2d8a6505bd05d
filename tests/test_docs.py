"""What README, docs and examples say runs, and what they point at is there."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

import tf_autosample as ta
from tf_autosample.cli import commands  # noqa: F401  registers them
from tf_autosample.cli.app import app
from tf_autosample.data import datasets

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LAST_LINES = {"custom_model.py": "the saved copy scores alike: True"}


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def shell_lines(page: Path, program: str) -> list[str]:
    """Lines of indented blocks that begin with the program, continued ones joined."""
    joined = text_of(page).replace("\\\n", " ")
    return re.findall(rf"^ {{4}}({program} .*?)(?:\s+&)?$", joined, re.M)


COMMANDS = [line for page in PAGES for line in shell_lines(page, "autosample")]


def small_data() -> ta.InteractionData:
    """Two groups of 30 users, each with its own half of 40 items, ids from 1."""
    rng = np.random.default_rng(0)
    halves = [20 * (user % 2) + rng.permutation(20)[:12] for user in range(60)]
    log = ta.Interactions(np.repeat(np.arange(60), 12), np.concatenate(halves), 60, 40)
    return ta.InteractionData(log, ta.Vocabulary(range(1, 61)), ta.Vocabulary(range(1, 41)))


@pytest.mark.slow  # a dozen seconds; `.ci/run` asks for it
def test_code_of_the_readme_searches_exports_and_recommends_as_it_stands(
    tmp_path, monkeypatch, capsys
):
    data = small_data()
    monkeypatch.setattr(datasets, "load", {"movielens-100k": data}.__getitem__)
    monkeypatch.setitem(ta.AutoSample.__init__.__kwdefaults__, "max_epochs", 4)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", text_of(ROOT / "README.md"), re.M | re.S)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block, names)
    chosen, ndcg, *items = re.findall(r"[\w.]+", capsys.readouterr().out)
    assert chosen in names["mixture"].names and 0 < float(ndcg) < 1
    assert (tmp_path / "models" / "films" / "1" / "saved_model.pb").exists()
    recommended = np.array(items, int).reshape(2, 5)
    for position, row in enumerate(recommended):
        known = data.items.decode(names["known"].histories[position])
        assert len(set(row)) == 5 and set(row) <= set(range(1, 41)) - set(known)


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.name)
def test_example_runs_and_ends_as_it_should(path, tmp_path):
    done = subprocess.run(
        [sys.executable, path], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == LAST_LINES[path.name]


def test_first_example_has_twelve_lines_and_the_commands_are_found():
    first = re.search(r"^```python\n(.*?)^```$", text_of(ROOT / "README.md"), re.M | re.S)[1]
    assert len([line for line in first.splitlines() if line]) == 12
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_that_the_docs_show_is_one_that_the_command_line_takes(line):
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = get_command(app).commands[name]
    command.make_context(name, arguments)  # parses, and runs nothing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_is_there(page):
    text = text_of(page)
    targets = re.findall(r"\]\((?!\w+:)([^)#]+)", text)
    modules = re.findall(r"\bpython -m ((?:benchmarks|research|tf_autosample)[\w.]*)", text)
    tests = re.findall(r"`(test_\w+)`", text)
    sources = "".join(text_of(path) for path in (ROOT / "tests").glob("test_*.py"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    assert [name for name in tests if f"\ndef {name}(" not in sources] == []
    if page.name == "README.md":
        assert len(targets) >= 6 and len(tests) >= 6

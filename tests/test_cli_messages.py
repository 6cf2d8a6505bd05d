"""Cures on the command line are options of the command that prints them."""

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest
from test_cli import run

import tf_autosample
from tf_autosample import read_interactions
from tf_autosample.cli import commands  # noqa: F401  registers the commands
from tf_autosample.cli.messages import in_options, options_of

PACKAGE = Path(tf_autosample.__file__).parent
READING = ("data/reading.py", "data/numbering.py", "data/interactions.py", "data/merging.py")
READING += ("data/formats/*.py",)
SPLITTING = ("data/parts.py", "data/splitting.py")
# What each command can print, and the arguments of the library that its options stand for.
PRINTED = {
    "train": (*READING, *SPLITTING),
    "compare": (*READING, *SPLITTING),
    "evaluate": READING,
    "export": ("export/publish.py",),
    "serve": ("serving/*.py",),
    "query": ("serving/client.py", "serving/errors.py", "serving/transport.py"),
}
MEANT = {
    "export": {"version", "index", "k", "path"},
    "serve": {"grpc_port", "rest_port"},
    "query": {"model", "target", "k"},
}
ROLES = ("user", "item", "rating", "timestamp", "weight")


def arguments_of(command):
    if command in MEANT:
        return MEANT[command]
    reading = set(inspect.signature(read_interactions).parameters) - {"source", "users", "items"}
    if command == "evaluate":  # which counts unknown rows, and cuts no core
        return reading - {"on_unknown", "core"}
    return reading | {"by", "valid", "test"}


def texts(command):
    """Gives all strings in the modules whose messages a command prints, a role for each `role`."""
    for pattern in PRINTED[command]:
        for path in sorted(PACKAGE.glob(pattern)):
            tree = ast.parse(path.read_text())
            documented = {
                id(node.body[0].value)
                for node in ast.walk(tree)
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                and isinstance(node.body[0], ast.Expr)
            }
            inner = {
                id(part)
                for node in ast.walk(tree)
                if isinstance(node, ast.JoinedStr)
                for part in ast.walk(node)
                if part is not node
            }
            for node in ast.walk(tree):
                if id(node) in documented | inner:
                    continue
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                if isinstance(node, ast.JoinedStr):
                    for role in ROLES:
                        yield "".join(map(lambda part: filled(part, role), node.values))  # noqa: B023


def filled(part, role):
    if isinstance(part, ast.Constant):
        return part.value
    source = ast.unparse(part.value)
    if source.startswith("json.dumps("):
        return '";"'
    return role if source == "role" else "'x'"


@pytest.mark.parametrize("command", PRINTED)
def test_no_message_that_a_command_prints_names_an_argument_where_there_is_an_option(command):
    arguments = arguments_of(command)
    options = options_of(command)
    assert arguments - {"by", "valid", "test", "on_bad_row", "on_unknown", "path"} <= set(options)
    cure = re.compile(rf"(?<![\w'])({'|'.join(arguments)})=(?!=)|`({'|'.join(arguments)})=?`")
    found = [text for text in texts(command) if " " in text and cure.search(text)]
    assert found  # or this test looks at nothing
    for text in found:
        translated = in_options(text, options)
        assert not cure.search(translated), translated
        assert set(re.findall(r"(?<!\w)--[a-z][a-z0-9-]*", translated)) <= set(options.values())


@pytest.fixture
def reads_only(monkeypatch):
    """`train` is interrupted once the data are read and split."""

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tf_autosample.cli.training.train", interrupt)


ROWS = [(user, item) for user in range(10, 16) for item in range(user % 3, 24)]
PAIRS = "".join(f"{user},{item}\n" for user, item in ROWS)
HEADED = "user_id,item_id\n" + PAIRS
TIMED = "user_id,item_id,time\n" + "".join(
    f"{user},{item},{place}\n" for place, (user, item) in enumerate(ROWS, 1000)
)
# Name and content of a file, the cure as it is printed, and as it is typed.
CASES = {
    "no suffix": ("log", HEADED, "--format", "--format csv"),
    "no header": ("log.csv", PAIRS, "--columns user_id,item_id", None),
    "semicolons": ("log.csv", HEADED.replace(",", ";"), "--separator ';'", None),
    "tabs": ("log.csv", HEADED.replace(",", "\t"), "--format tsv", None),
    "colons": ("log.csv", HEADED.replace(",", "::"), "--separator ::", None),
    "a bad row": ("log.csv", HEADED + "16,\n", "--skip-bad-rows", None),
    "other names": ("log.csv", HEADED.replace("user_", "who_"), "--user COLUMN", "--user who_id"),
    "no times": ("log.csv", TIMED, "--timestamp COLUMN", "--timestamp time"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_cure_typed_as_it_is_printed_makes_the_command_work(case, reads_only, tmp_path, capsys):
    name, content, printed, typed = CASES[case]
    (tmp_path / name).write_text(content)
    command = ["train", "--train", tmp_path / name, "--out", tmp_path / "run"]
    command += ["--split", "last"] if case == "no times" else []
    assert run(*command) == 2
    assert printed in capsys.readouterr().err
    assert run(*command, *shlex.split(typed or printed)) == 130


def test_what_was_received_stays_as_it_is():
    message = "`format` must be known. Received: format='csv', in 'user=7,format=x'."
    translated = in_options(message, {"format": "--format", "user": "--user"})
    assert translated == "`--format` must be known. Received: --format csv, in 'user=7,format=x'."


def test_an_argument_without_an_option_keeps_its_name():
    assert in_options("`seen` must be given: seen=x.", {"user": "--user"}) == (
        "`seen` must be given: seen=x."
    )

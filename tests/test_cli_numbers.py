"""Every numeric option of every command: bounds in its help, and enforced."""

import functools
import inspect
import os
import subprocess
import sys
import typing

import pytest
import typer
from test_cli import run

from tf_autosample.cli import commands  # noqa: F401  registers the commands
from tf_autosample.cli.app import app
from tf_autosample.samplers.named import parse_samplers

REQUIRED = {
    "train": ["--out", "OUT", "--data", "movielens-100k"],
    "compare": ["--out", "OUT", "--data", "movielens-100k"],
    "evaluate": ["RUN"],
    "export": ["RUN", "--to", "BASE"],
    "serve": ["BASE"],
    "query": ["7"],
    "demo": [],
}
# What zero means is clear here: a seed, any free port, no penalty, the lowest rating.
ZERO_IS_FINE = {"--seed", "--grpc-port", "--rest-port", "--l2", "--min-rating"}
MAY_BE_NEGATIVE = {"--min-rating"}


def numeric_options():
    """Gives the command, the option and its type."""
    for command in app.registered_commands:
        name = command.callback.__name__
        parameters = typer.main.get_command(app).commands[name].params
        options = {one.name: one.opts[0] for one in parameters}
        for argument, one in inspect.signature(command.callback).parameters.items():
            kind, *_ = typing.get_args(one.annotation) or [one.annotation]
            for number in set(typing.get_args(kind) or [kind]) & {int, float}:
                yield name, options[argument], number


OPTIONS = list(numeric_options())


def outside(option, kind):
    yield from ("nan", "inf", "-inf", "some")
    if option not in MAY_BE_NEGATIVE:
        yield "-1"
    if option not in ZERO_IS_FINE:
        yield "0"
    if kind is int:
        yield from ("1.5", "99999999999999999999")


@pytest.fixture
def idle(monkeypatch):
    """Commands that do nothing, so that an option that takes too much is seen at once."""
    for command in app.registered_commands:
        nothing = functools.wraps(command.callback)(lambda **values: None)
        monkeypatch.setattr(command, "callback", nothing)


def test_there_are_numeric_options_of_all_commands_that_work_with_numbers():
    assert {command for command, _, _ in OPTIONS} == set(REQUIRED)
    assert {"--learning-rate", "--l2", "--dim", "-k", "--workers", "--version", "--seeds"} <= {
        option for _, option, _ in OPTIONS
    }


@pytest.mark.parametrize(("command", "option", "kind"), OPTIONS)
def test_a_number_outside_the_bounds_of_an_option_is_refused(command, option, kind, idle, capsys):
    assert run(command, *REQUIRED[command], option, "0.5" if kind is float else "3") == 0
    for value in outside(option, kind):
        assert run(command, *REQUIRED[command], option, value) == 2, value
        assert option in capsys.readouterr().err


@pytest.mark.parametrize("command", REQUIRED)
def test_the_help_shows_the_bounds_of_every_number(command):
    program = f"import sys; sys.argv = ['autosample', '{command}', '--help']\n"
    program += "from tf_autosample.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    for owner, option, _ in OPTIONS:
        if owner == command and option not in MAY_BE_NEGATIVE:
            line = next(one for one in done.stdout.splitlines() if f" {option} " in one)
            assert any(sign in line for sign in ("<=x<=", "NUMBER >", "NUMBER in")), line


@pytest.mark.parametrize("text", ["dns:m=0", "dns:m=-3", "popularity:power=nan", "ahns:beta=inf"])
def test_a_setting_of_a_sampler_outside_its_bounds_is_refused_by_its_own_name(text):
    key = text.partition(":")[2].partition("=")[0]
    with pytest.raises(ValueError, match=rf"\b{key}\b") as refusal:
        parse_samplers(text)
    assert "num_candidates" not in str(refusal.value)

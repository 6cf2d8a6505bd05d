"""Messages of the library in the words of the command line: options instead of arguments."""

import ast
import re
import shlex
from collections.abc import Mapping

import typer

from tf_autosample.cli.app import app

# The options that stand for an argument of the library, where they are not called like it. The
# first that the command has is meant.
OPTIONS_OF = {
    "on_bad_row": ("skip_bad_rows",),
    "on_unknown": ("skip_unknown",),
    "by": ("split",),
    "valid": ("valid_part",),
    "test": ("test_part", "test"),
    "path": ("to",),
    "name": ("data",),
    "directory": ("out",),
}

_QUOTED = r"(?<![\w=])'[^']*'"  # what was received stays as it is
# What the command line has no argument or value for.
_SAID_OTHERWISE = (
    (r"`source`", "`FILE`"),
    (r"\bsource=", ""),
    ("must be None", "must be left out"),
)
_CALL = r"read_interactions\(\w+, ([^()]*)\)"
_LITERAL = r"""("[^"]*"|'[^']*'|\[[^\]]*\]|\.\.\.|[^\s,.;:)`]*(?:\.\d+)?)"""
_ASSIGNED = rf"`?\b([a-z_][a-z_0-9]*)=(?!=){_LITERAL}`?"
_NAMED = r"`([a-z_][a-z_0-9]*)`"
_WORDS = re.compile(f"(?P<quoted>{_QUOTED})|{_ASSIGNED}|{_NAMED}")


def options_of(command: str) -> dict[str, str]:
    """Returns the options of a command by the names of their parameters."""
    parameters = typer.main.get_command(app).commands[command].params
    options = {one.name: one.opts[0] for one in parameters if one.opts[0].startswith("-")}
    if command != "query":  # a client asks for a model by its name; elsewhere it is an object
        options.pop("model", None)
    return options


def in_options(message: str, options: Mapping[str, str]) -> str:
    """Rewrites a message so that its cures name options.

    Args:
        message: The message of an error.
        options: The options of the command, by the name of the parameter.
    """
    for pattern, words in ((_CALL, r"\1"), *_SAID_OTHERWISE):
        message = re.sub(pattern, words, message)
    message = _WORDS.sub(lambda found: _translated(found, options), message)
    return re.sub(r"(--[a-z-]+ \S+), (?=--)", r"\1 ", message)


def _translated(found: re.Match, options: Mapping[str, str]) -> str:
    text = found.group()
    if found["quoted"]:
        return text
    assigned, value, named = found.group(2, 3, 4)
    option = _option(assigned or named, options)
    if option is None:
        return text
    if named:
        return f"`{option}`"
    if value == "None":
        return f"no {option}"
    if value in ("", "True", '"skip"', "'skip'"):
        return option
    return f"{option} {_value(value)}"


def _option(argument: str, options: Mapping[str, str]) -> str | None:
    names = OPTIONS_OF.get(argument, (argument,))
    return next((options[name] for name in names if name in options), None)


def _value(text: str) -> str:
    """Returns a value as it is typed in a shell."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if value in ("<column>", ...):
        return "COLUMN"
    if isinstance(value, list):
        return ",".join("..." if name is ... else str(name) for name in value)
    return shlex.quote(value.replace("\t", r"\t")) if isinstance(value, str) else text

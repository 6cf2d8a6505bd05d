"""What several commands have in common: options, groups of options, and how results are printed."""

import dataclasses
import functools
import inspect
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from tf_autosample.cli.numbers import count_option

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of an earlier `train`.")]
Workers = Annotated[
    int, count_option(help="Processes that train samplers of the search side by side.")
]


def spread(command: Callable) -> Callable:
    """Lets a command take dataclasses: each field becomes an option, with its default.

    Typer reads signatures, so the returned function carries one in which the fields stand in the
    place of the parameter.
    """
    parameters = inspect.signature(command).parameters
    groups = {
        name: one.annotation
        for name, one in parameters.items()
        if dataclasses.is_dataclass(one.annotation)
    }

    @functools.wraps(command)
    def run(**values):
        for name, group in groups.items():
            own = {field.name: values.pop(field.name) for field in dataclasses.fields(group)}
            values[name] = group(**own)
        return command(**values)

    options = []
    for name, one in parameters.items():
        if name in groups:
            options += map(_option, dataclasses.fields(groups[name]))
        else:
            options.append(one.replace(kind=one.KEYWORD_ONLY))
    run.__signature__ = inspect.Signature(options)
    run.__annotations__ = {one.name: one.annotation for one in options}
    return run


def changes_of(group: type) -> type:
    """Returns a dataclass of the same options, None where one is not given."""
    fields = [
        (one.name, _optional(one.type), dataclasses.field(default=None))
        for one in dataclasses.fields(group)
    ]
    return dataclasses.make_dataclass(f"{group.__name__}Changes", fields, frozen=True)


def given_in(context: typer.Context) -> set[str]:
    """Returns the names of the parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, one in sources.items() if one.name == "COMMANDLINE"}


def print_values(values: dict, as_json: bool) -> None:
    """Prints a line for each value, those of inner dictionaries under all their names."""
    if as_json:
        typer.echo(json.dumps(values, indent=1))
        return
    flat = dict(_flat(values))
    width = max(map(len, flat))
    for key, value in flat.items():
        text = f"{value:.4f}" if isinstance(value, float) else value
        typer.echo(f"{key:<{width}}  {text}")


def counts_text(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Returns a line for each source of rows, with what became of them."""
    return "\n".join(
        f"{source}: " + " · ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in found.items())
        for source, found in counts.items()
    )


def _flat(values: Mapping, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        else:
            yield f"{prefix}{key}", value


def _optional(annotation):
    kind, option = typing.get_args(annotation)
    return Annotated[kind | None, option]


def _option(field: dataclasses.Field) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)

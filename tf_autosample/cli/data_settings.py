"""Which data, how they are read and how they are split. Each field is an option of a command."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from tf_autosample.cli.numbers import count_option, number_option
from tf_autosample.cli.options import changes_of

SPLITS = ("random", "last", "time")


@dataclass(frozen=True)
class ReadingSettings:
    """How a file is read, the same for every file of a run and for those that come later."""

    format: Annotated[
        str | None,
        Option(help="csv, tsv, parquet, jsonl or adjacency; else what the suffix says."),
    ] = None
    columns: Annotated[
        str | None,
        Option(
            metavar="NAME,NAME",
            help="Names of the columns of a file without header: user_id,item_id,rating.",
        ),
    ] = None
    separator: Annotated[str | None, Option(help="Between fields, such as ';' or '::'.")] = None
    user: Annotated[str, Option(help="Column of user ids.")] = "user_id"
    item: Annotated[str, Option(help="Column of item ids.")] = "item_id"
    timestamp: Annotated[str | None, Option(help="Column of times.")] = None
    rating: Annotated[str | None, Option(help="Column of ratings.")] = None
    min_rating: Annotated[
        float | None, number_option(help="Keep rows rated this or more; needs --rating.")
    ] = None
    weight: Annotated[
        str | None, Option(help="Column of weights (counts, confidences) in the loss.")
    ] = None
    duplicates: Annotated[
        str, Option(help="Weight of a repeated pair: sum, max, last or none.")
    ] = "sum"
    where: Annotated[
        list[str] | None,
        Option(metavar="COLUMN=VALUE[,VALUE]", help="Keep rows with one of these. Repeatable."),
    ] = None
    skip_bad_rows: Annotated[
        bool, Option("--skip-bad-rows", help="Leave out bad rows and count them.")
    ] = False

    def arguments(self) -> dict:
        """Returns the arguments of `read_interactions` that stand for these settings."""
        own = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(ReadingSettings)
        }
        skip = own.pop("skip_bad_rows")
        return {
            **own,
            "columns": self.columns and [name.strip() for name in self.columns.split(",")],
            "separator": self.separator and self.separator.replace(r"\t", "\t"),
            "where": _conditions(self.where),
            "on_bad_row": "skip" if skip else "error",
        }

    @classmethod
    def recorded(cls, arguments: Mapping, changes: "ReadingChanges") -> "ReadingSettings":
        """Returns what a run recorded, but for what `changes` say otherwise."""
        given = {key: value for key, value in vars(changes).items() if value not in (None, [])}
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: arguments[name] for name in names if name in arguments} | given)


ReadingChanges = changes_of(ReadingSettings)


@dataclass(frozen=True)
class Sources:
    """Where the data come from, a named data set or files, and how they are split."""

    data: Annotated[str | None, Option(help="A named data set: movielens-100k.")] = None
    train: Annotated[Path | None, Option(help="File, folder or pattern to train on.")] = None
    valid: Annotated[Path | None, Option(help="File; else held out of train.")] = None
    test: Annotated[Path | None, Option(help="File to report on; else see --split.")] = None
    split: Annotated[
        str | None,
        Option(help="Hold test and validation out: random, last (of each user) or time."),
    ] = None
    test_part: Annotated[
        str | None,
        Option(help="What --split holds out: a share, items per user (last), or from a date on."),
    ] = None
    valid_part: Annotated[str | None, Option(help="The same for validation.")] = None
    core: Annotated[int, count_option(help="Keep the k-core of train.")] = 1
    skip_unknown: Annotated[
        bool,
        Option("--skip-unknown", help="Leave out rows of valid and test with ids not in train."),
    ] = False


@dataclass(frozen=True)
class DataSettings(ReadingSettings, Sources):
    """All that decides which interactions a run trains on and is measured on."""

    def __post_init__(self):
        if (self.data is None) == (self.train is None):
            raise ValueError("Exactly one of `--data NAME` and `--train FILE` must be given.")
        if self.data is not None:
            about_files = set(vars(self)) - {"data", "split", "test_part", "valid_part"}
            self._refuse(about_files, "are for files and must be left out with `--data`")
        if self.split is None:
            self._refuse(["test_part", "valid_part"], "need `--split`")
        elif self.split not in SPLITS:
            raise ValueError(
                f"`--split` must be one of {', '.join(SPLITS)}. Received: {self.split!r}."
            )
        else:
            self._refuse(
                ["valid", "test", "skip_unknown"],
                "must be left out with `--split`, which holds both parts out of train",
            )

    def _refuse(self, names, why: str) -> None:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = [name for name in defaults if name in names]
        given = [name for name in given if getattr(self, name) not in (defaults[name], [])]
        if given:
            options = ", ".join(f"`--{name.replace('_', '-')}`" for name in given)
            raise ValueError(f"These options {why}. Received: {options}.")

    def record(self) -> dict:
        """Returns every setting as JSON values."""
        values = dataclasses.asdict(self)
        paths = {key: str(value) for key, value in values.items() if isinstance(value, Path)}
        return {**values, **paths, "where": self.where or None}


def _conditions(texts: list[str] | None) -> dict[str, list[str]] | None:
    conditions: dict[str, list[str]] = {}
    for text in texts or ():
        column, sign, values = text.partition("=")
        if not (column and sign and values):
            raise ValueError(
                "`--where` must be COLUMN=VALUE, or several values with commas. "
                f"Received: {text!r}."
            )
        conditions.setdefault(column, []).extend(values.split(","))
    return conditions or None

"""What a training is told: which data, and how to train. Each field is an option of a command."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from tf_autosample.search.strategies import (
    ExhaustiveSearch,
    GradientSearch,
    HalvingSearch,
    RaceSearch,
)

MODELS = ("mf", "lightgcn", "ngcf")
STRATEGIES = {
    "race": RaceSearch,
    "fast": RaceSearch.fast,
    "thorough": RaceSearch.thorough,
    "exhaustive": ExhaustiveSearch,
    "halving": HalvingSearch,
    "gradient": GradientSearch,
}


@dataclass(frozen=True)
class DataSettings:
    """Where the data come from: a named data set, or files."""

    data: Annotated[str | None, Option(help="A named data set: movielens-100k.")] = None
    train: Annotated[Path | None, Option(help="File of training interactions.")] = None
    valid: Annotated[Path | None, Option(help="File; else a tenth of train.")] = None
    test: Annotated[Path | None, Option(help="File to report on.")] = None
    user: Annotated[str, Option(help="Column of user ids.")] = "user_id"
    item: Annotated[str, Option(help="Column of item ids.")] = "item_id"
    rating: Annotated[str | None, Option(help="Column of ratings.")] = None
    min_rating: Annotated[float | None, Option(help="Keep rows rated this or more.")] = None
    core: Annotated[int, Option(help="Keep the k-core of train.")] = 1
    skip_bad_rows: Annotated[
        bool, Option("--skip-bad-rows", help="Leave out bad rows and count them.")
    ] = False
    skip_unknown: Annotated[
        bool,
        Option("--skip-unknown", help="Leave out rows of valid and test with ids not in train."),
    ] = False

    def __post_init__(self):
        if (self.data is None) == (self.train is None):
            raise ValueError("Exactly one of `--data NAME` and `--train FILE` must be given.")

    def prepare(self, seed: int):
        """Reads and splits the data. What is not given as a file of its own is drawn by `seed`."""
        from tf_autosample.cli.data import prepare_files, prepare_named

        if self.data is not None:
            return prepare_named(self.data, seed)
        return prepare_files(
            self.train,
            self.valid,
            self.test,
            seed,
            on_bad_row="skip" if self.skip_bad_rows else "error",
            on_unknown="skip" if self.skip_unknown else "error",
            **self._columns(),
        )

    def recorded(self) -> dict[str, str]:
        """What a run records of it."""
        files = {"train": self.train, "valid": self.valid, "test": self.test, **self._columns()}
        source = files if self.data is None else {"data": self.data}
        return {key: str(value) for key, value in source.items() if value is not None}

    def _columns(self) -> dict:
        names = ("user", "item", "rating", "min_rating", "core")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Recipe:
    """How to train, whatever the samplers and the seed."""

    model: Annotated[str, Option(help="mf, lightgcn or ngcf.")] = "mf"
    dim: Annotated[int, Option(min=1, help="Embedding size.")] = 64
    batch_size: Annotated[int, Option(min=1, help="Positives per step.")] = 2048
    learning_rate: Annotated[float, Option(help="Of Adam.")] = 1e-3
    l2: Annotated[
        float | None, Option(help="L2 on the rows that a batch touches; else the model's.")
    ] = None
    max_epochs: Annotated[int, Option(min=1, help="Last epoch of any sampler.")] = 200
    strategy: Annotated[str, Option(help=f"How to search: {', '.join(STRATEGIES)}.")] = "race"
    sample_users: Annotated[
        float | None,
        Option(help="Fraction of the users to search on. A quarter for large data and for fast."),
    ] = None

    def __post_init__(self):
        for name, allowed in (("model", MODELS), ("strategy", tuple(STRATEGIES))):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"`--{name}` must be one of {', '.join(allowed)}. Received: {value!r}."
                )
        if self.sample_users is not None and not 0 < self.sample_users <= 1:
            raise ValueError(
                f"`--sample-users` must be a fraction in (0, 1]. Received: {self.sample_users!r}."
            )


SAMPLERS_HELP = (
    "auto, ladder (several levels of hardness), or some of uniform, popularity, dns:m=8, "
    "ahns ... with commas."
)


@dataclass(frozen=True)
class TrainingSettings(Recipe):
    """What a run trains with."""

    sampler: Annotated[str, Option(help=SAMPLERS_HELP)] = "auto"
    seed: Annotated[int, Option(help="Of splits, weights and batches.")] = 1


@dataclass(frozen=True)
class ComparisonSettings(Recipe):
    """What a comparison trains with."""

    samplers: Annotated[str, Option(help=SAMPLERS_HELP)] = "auto"
    seeds: Annotated[int, Option(min=1, help="How many: 1, 2 and so on.")] = 5

    def training(self, sampler: str, seed: int) -> TrainingSettings:
        """Returns the settings of one training."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(Recipe)}
        return TrainingSettings(**shared, sampler=sampler, seed=seed)

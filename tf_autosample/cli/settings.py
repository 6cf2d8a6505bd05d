"""How to train. Each field is an option of a command."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from typer import Option

from tf_autosample.cli.numbers import count_option, number_option, seed_option
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
class Recipe:
    """How to train, whatever the samplers and the seed."""

    model: Annotated[str, Option(help="mf, lightgcn or ngcf.")] = "mf"
    dim: Annotated[int, count_option(help="Embedding size.")] = 64
    batch_size: Annotated[int, count_option(help="Positives per step.")] = 2048
    learning_rate: Annotated[float, number_option(over=0, help="Of Adam.")] = 1e-3
    l2: Annotated[
        float | None,
        number_option(least=0, help="L2 on the rows that a batch touches; else the model's."),
    ] = None
    max_epochs: Annotated[int, count_option(help="Last epoch of any sampler.")] = 200
    strategy: Annotated[str, Option(help=f"How to search: {', '.join(STRATEGIES)}.")] = "race"
    sample_users: Annotated[
        float | None,
        number_option(
            over=0,
            most=1,
            help="Fraction of the users to search on. A quarter for large data and for fast.",
        ),
    ] = None

    def __post_init__(self):
        for name, allowed in (("model", MODELS), ("strategy", tuple(STRATEGIES))):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"`--{name}` must be one of {', '.join(allowed)}. Received: {value!r}."
                )


SAMPLERS_HELP = (
    "auto, ladder (several levels of hardness), or some of uniform, popularity, dns:m=8, "
    "ahns ... with commas."
)


@dataclass(frozen=True)
class TrainingSettings(Recipe):
    """What a run trains with."""

    sampler: Annotated[str, Option(help=SAMPLERS_HELP)] = "auto"
    seed: Annotated[int, seed_option(help="Of splits, weights and batches.")] = 1


@dataclass(frozen=True)
class ComparisonSettings(Recipe):
    """What a comparison trains with."""

    samplers: Annotated[str, Option(help=SAMPLERS_HELP)] = "auto"
    seeds: Annotated[int, count_option(help="How many: 1, 2 and so on.")] = 5

    def training(self, sampler: str, seed: int) -> TrainingSettings:
        """Returns the settings of one training."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(Recipe)}
        return TrainingSettings(**shared, sampler=sampler, seed=seed)

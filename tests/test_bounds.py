"""Every numeric argument of a constructor has bounds, and takes any kind of number within them."""

import inspect
import json
import re
from dataclasses import asdict

import keras
import numpy as np
import pytest
from small_models import TEST, TRAIN

import tf_autosample as ta
from tf_autosample.models import InteractionGraph

SIZE = {"num_users": 5, "num_items": 6, "sampler": "uniform", "dim": 2}
VALIDATION = {"validation": TEST, "metric": "val_ndcg@5"}
# What to build: how, and for each argument what lies just outside its bounds (None: no bound).
INTEGERS = {
    ta.UniformSampler: {"num_negatives": 0},
    ta.MixedSampler: {"num_uniform": 0},
    ta.DynamicSampler: {"num_candidates": 0},
    ta.TopSampler: {"num_best": 0, "num_candidates": 0},
    ta.AdaptiveHardnessSampler: {"num_candidates": 0},
    ta.SoftmaxSampler: {"num_candidates": 1},
    ta.ResamplingSampler: {"num_negatives": 0, "pool_size": 0, "num_candidates": 0, "seed": -1},
    ta.MemorySampler: {
        "memory_size": 65,
        "num_candidates": 0,
        "num_warm_up_epochs": 0,
        "num_snapshots": 0,
    },
    ta.MixGCFSampler: {"num_candidates": 0},
    ta.DimensionMixupSampler: {"num_candidates": 0},
    ta.DisentangledSampler: {"num_candidates": 0, "warmup_epochs": 0, "seed": -1},
    ta.AugmentedSampler: {"num_candidates": 0, "seed": 2**31},
    ta.ChainSampler: {"num_steps": 0, "num_neighbors": 0, "seed": -1},
    ta.EmbeddingTable: {"rows": 0, "dim": 0, "seed": -1},
    ta.RetrievalModel: {"num_users": 0, "num_items": 0},
    ta.MatrixFactorization: {"num_users": 0, "num_items": 0, "dim": 0, "seed": 2**31},
    ta.LightGCN: {"dim": 0, "num_layers": 0, "seed": -1},
    ta.NGCF: {"dim": 0, "num_layers": 0, "seed": -1},
    InteractionGraph: {"num_users": 0, "num_items": 0, "num_interactions": 0},
    ta.AutoSample: {"max_epochs": 0, "patience": -1, "workers": 0},
    ta.HalvingSearch: {"first_rung": 0},
    ta.RaceSearch: {"horizon": 0, "first_rung": 0, "halve_from": 0},
    ta.GradientSearch: {"epochs": 0},
    ta.Arm: {"before_epochs": -1},
    ta.RetrievalEvaluation: {"every": 0, "k": 0},
    ta.evaluate: {"k": 45, "memory_budget": 0, "seed": -1},
    ta.training_batches: {"batch_size": 0, "candidates": 0, "seed": None},
    ta.NegativeSampling: {"seed": None, "stream": -1},
    ta.Proposal: {"uniform": -1},
}
NUMBERS = {
    ta.PopularitySampler: {"power": None},
    ta.FactorSampler: {"rank_share": 0.0},
    ta.AdaptiveHardnessSampler: {"hardness": 0.0, "shift": None, "power": -1.0},
    ta.SoftmaxSampler: {"hardness": 0.0},
    ta.MemorySampler: {"variance_weight": -0.1, "temperature": 0.0},
    ta.DimensionMixupSampler: {"positive_weight": 0.0},
    ta.DisentangledSampler: {"auxiliary_weight": -0.1},
    ta.AugmentedSampler: {"gain_weight": -0.1, "auxiliary_weight": -0.1},
    ta.ChainSampler: {"power": -0.1},
    ta.SamplerMixture: {"temperature": 0.0},
    ta.Hinge: {"margin": 0.0},
    ta.CosineContrastive: {"margin": 1.0, "negative_weight": 0.0},
    ta.SampledSoftmax: {"temperature": 0.0},
    ta.BSL: {"temperature": 0.0, "power": 0.0},
    ta.LazyAdam: {"learning_rate": 0.0, "beta_1": 1.0, "beta_2": 1.0, "epsilon": 0.0},
    ta.MatrixFactorization: {"l2": -0.1},
    ta.RetrievalModel: {"l2": -0.1},
    ta.LightGCN: {"l2": -0.1},
    ta.NGCF: {"l2": -0.1},
    ta.HalvingSearch: {"factor": 1.0, "sample_users": 0.0},
    ta.RaceSearch: {"optimism": -0.1, "growth": 1.0, "sample_users": 1.1},
    ta.GradientSearch: {"rate": 0.0, "sample_users": 1.1},
    ta.ExhaustiveSearch: {"sample_users": 0.0},
    ta.Arm: {"learning_rate": 0.0, "l2": -0.1},
}
GIVEN = {
    ta.EmbeddingTable: {"rows": 3, "dim": 2},
    ta.MatrixFactorization: SIZE,
    ta.RetrievalModel: {"num_users": 5, "num_items": 6, "sampler": "uniform"},
    ta.LightGCN: {"interactions": TRAIN, "sampler": "uniform", "dim": 2},
    ta.NGCF: {"interactions": TRAIN, "sampler": "uniform", "dim": 2},
    InteractionGraph: {"num_users": 5, "num_items": 6, "num_interactions": 7},
    ta.AutoSample: VALIDATION,
    ta.Arm: {"weights": {"dns8": 1.0}},
    ta.RetrievalEvaluation: {"validation": TEST, "seen": TRAIN, "k": 3},
    ta.evaluate: {"model": ta.MostPopular(TRAIN), "test": TEST, "seen": TRAIN},
    ta.training_batches: {"interactions": TRAIN, "batch_size": 9, "candidates": 2, "seed": 1},
    ta.NegativeSampling: {"interactions": TRAIN, "sampler": ta.Proposal(2), "seed": 1},
    ta.SamplerMixture: {"samplers": "uniform,dns"},
}


def build(what, **arguments):
    return what(**{**GIVEN.get(what, {}), **arguments})


def cases(table, wrong):
    return [
        pytest.param(what, name, value, id=f"{what.__name__} {name}={value!r}")
        for what, arguments in table.items()
        for name, bound in arguments.items()
        for value in [*wrong, *([] if bound is None else [bound])]
    ]


@pytest.mark.parametrize(
    ("what", "name", "value"),
    [
        *cases(INTEGERS, [1.5, float("nan"), True, "three"]),
        *cases(NUMBERS, [float("nan"), float("inf"), -float("inf"), True, "three"]),
    ],
)
def test_number_out_of_bounds_is_refused_by_name(what, name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}={value!r}"):
        build(what, **{name: value})


ROOMS = [[room] for room in ("batches", "samplers", "models", "search", "evaluation")]
# An evaluation and traits are what the library tells.
PUBLIC = [getattr(ta, name) for name in ta.__all__ if name not in ("Evaluation", "Traits")]
BUILDERS = [one for one in PUBLIC if getattr(one, "__module__", "").split(".")[1:2] in ROOMS]
# What an arm has gone through, and what follows from its samplers, nobody gives.
NOT_GIVEN = {"rate", "cost", "selectivity", "epochs", "examples", "seconds"}


@pytest.mark.parametrize("what", BUILDERS, ids=lambda what: what.__name__)
def test_no_numeric_argument_is_without_bounds(what):
    """Holds the tables above against the signatures of all public names."""
    given = GIVEN.get(what, {})
    numeric = {
        name
        for name, one in inspect.signature(what).parameters.items()
        if is_number(given.get(name, one.default))
    }
    held = INTEGERS.get(what, {}).keys() | NUMBERS.get(what, {}).keys()
    assert numeric - held - (NOT_GIVEN if what is ta.Arm else set()) == set()


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def numpy_numbers(what):
    """Each numeric argument's default, or what is given, as a NumPy number."""
    found = {}
    for name, one in inspect.signature(what).parameters.items():
        value = GIVEN.get(what, {}).get(name, one.default)
        if is_number(value):
            found[name] = np.int64(value) if isinstance(value, int) else np.float64(value)
    return found


LAYERS = [
    what
    for what in dict.fromkeys([*INTEGERS, *NUMBERS])
    if isinstance(what, type)
    and hasattr(what, "get_config")
    and hasattr(what, "from_config")
    and what is not ta.NegativeSampling  # which holds the data and has no config
]


@pytest.mark.parametrize("what", LAYERS, ids=lambda what: what.__name__)
def test_numpy_numbers_build_what_plain_ones_do(what):
    plain, other = build(what), build(what, **numpy_numbers(what))
    first, second = (
        json.dumps(keras.saving.serialize_keras_object(one)["config"]) for one in (plain, other)
    )
    # Keras numbers the objects of a class that have no name of their own.
    assert re.sub(r'_\d+"', '"', first) == re.sub(r'_\d+"', '"', second)


@pytest.mark.parametrize(
    "what", [ta.RaceSearch, ta.HalvingSearch, ta.GradientSearch], ids=lambda what: what.__name__
)
def test_strategy_of_numpy_numbers_can_be_recorded(what):
    assert json.dumps(asdict(build(what, **numpy_numbers(what)))) == json.dumps(asdict(what()))


@pytest.mark.parametrize("k", [np.int64(5), np.array([5, 3]), (np.int32(3), 5), [5, 3], {3, 5}])
def test_evaluate_takes_integers_of_every_kind(k):
    metrics = ta.evaluate(ta.MostPopular(TRAIN), TEST, seen=TRAIN, k=k).metrics
    assert (
        metrics["recall@5"]
        == ta.evaluate(ta.MostPopular(TRAIN), TEST, seen=TRAIN, k=5).metrics["recall@5"]
    )


def test_batches_of_numpy_integers_are_those_of_plain_ones():
    first, other = (
        ta.training_batches(TRAIN, kind(9), kind(2), seed=kind(1)) for kind in (int, np.int64)
    )
    assert first.proposal == other.proposal and repr(first.proposal) == repr(other.proposal)
    for name, value in next(iter(first)).items():
        np.testing.assert_array_equal(value, next(iter(other))[name])


@pytest.mark.parametrize("wrong", [np.zeros((3, 2), int), "train.csv", None])
def test_what_is_no_interactions_is_refused_by_name(wrong):
    model = ta.MostPopular(TRAIN)
    refusals = {
        "interactions": lambda: ta.training_batches(wrong, 9, 2, seed=1),
        "test": lambda: ta.evaluate(model, wrong, seen=()),
        "seen": lambda: ta.evaluate(model, TEST, seen=wrong),
        "validation": lambda: ta.RetrievalEvaluation(wrong, seen=()),
    }
    for name, use in refusals.items():
        with pytest.raises(TypeError, match=f"`{name}` must be `Interactions`. Received: a "):
            use()
    with pytest.raises(TypeError, match="`interactions` must be `Interactions`"):
        ta.LightGCN(wrong, "uniform")

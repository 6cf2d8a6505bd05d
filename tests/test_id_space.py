"""Interactions over other ids than the model's are of other people: nothing may touch them."""

import keras
import numpy as np
import pytest

from tf_autosample import (
    NGCF,
    AutoSample,
    LazyAdam,
    LightGCN,
    MatrixFactorization,
    RetrievalEvaluation,
    TwoTower,
    UniformSampler,
    Vocabulary,
    evaluate,
    training_batches,
)
from tf_autosample.data.interactions import Interactions
from tf_autosample.export import export_retrieval

USERS, ITEMS = 6, 9


def pairs(num_users=USERS, num_items=ITEMS, offset=0):
    """One pair per user of the smallest space, the same in each."""
    return Interactions(np.arange(4), np.arange(4) + offset, num_users, num_items)


def two_tower():
    def tower(rows):
        ids = keras.Input((), dtype="int32", name="id")
        return keras.Model({"id": ids}, keras.layers.Embedding(rows, 3)(ids))

    features = {"id": np.arange(USERS)}, {"id": np.arange(ITEMS)}
    return TwoTower(*features, tower(USERS), tower(ITEMS), UniformSampler())


MODELS = {
    "matrix factorization": lambda: MatrixFactorization(USERS, ITEMS, UniformSampler(), dim=3),
    "light gcn": lambda: LightGCN(pairs(), UniformSampler(), dim=3),
    "ngcf": lambda: NGCF(pairs(), UniformSampler(), dim=3),
    "two towers": two_tower,
}
# Smaller ones would train other people's rows, larger ones read behind the table.
OTHERS = [(5, ITEMS), (7, ITEMS), (USERS, 8), (USERS, 10)]
IDS = ["fewer users", "more users", "fewer items", "more items"]
WORDS = f"the id space of the model, {USERS} users and {ITEMS} items"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(build, id=name, marks=[pytest.mark.slow] if name == "ngcf" else [])
        for name, build in MODELS.items()
    ],
)
def model(request):
    model = request.param()
    model.compile(LazyAdam(0.1))
    return model


def fit(model, other):
    model.fit(training_batches(other, 4, model.sampler.proposal, seed=1), verbose=0)


def fit_from_the_pipeline(model, other):
    training_batches(other, 4, 1, seed=1, placement="pipeline", model=model)


def evaluate_on(model, other):
    evaluate(model, other, seen=(), k=1)


def search(model, other):
    batches = training_batches(pairs(), 4, model.sampler.proposal, seed=1)
    model.fit(batches, callbacks=[AutoSample(other, metric="val_ndcg@1")], verbose=0)


def watch(model, other):
    batches = training_batches(pairs(), 4, model.sampler.proposal, seed=1)
    model.fit(batches, callbacks=[RetrievalEvaluation(other, (), k=1)], verbose=0)


def export(model, other):
    users, items = (Vocabulary(np.arange(size)) for size in (USERS, ITEMS))
    export_retrieval(model, "/nowhere/at-all", users=users, items=items, seen=other)


@pytest.mark.parametrize("other", [pairs(*size) for size in OTHERS], ids=IDS)
@pytest.mark.parametrize("use", [fit, fit_from_the_pipeline, evaluate_on, search, watch, export])
def test_another_id_space_is_refused_with_both_sizes_and_nothing_is_touched(model, use, other):
    before = [one.numpy() for one in (*model.variables, model.trained_users, model.trained_items)]
    with pytest.raises(ValueError, match=WORDS):
        use(model, other)
    after = [one.numpy() for one in (*model.variables, model.trained_users, model.trained_items)]
    assert all(map(np.array_equal, before, after))

import numpy as np
import pytest
from small_search import build_batches, build_model, build_search, run, tables

from tf_autosample import Arm, DynamicSampler, RaceSearch, UniformSampler


def searched(workers):
    model = build_model([UniformSampler(), DynamicSampler(8)])
    search = build_search(
        strategy=RaceSearch(first_rung=2, growth=2, optimism=0.4, horizon=8, blend=True),
        arms=[Arm({"dns8": 1.0}, learning_rate=0.05, l2=0.01)],
        max_epochs=4,
        workers=workers,
    )
    run(model, search, batches=build_batches(model))
    return model, search


@pytest.mark.slow
def test_two_processes_choose_and_train_the_same_as_one():
    (model, search), (alone, one) = searched(2), searched(1)
    expected = one.history
    found = search.history
    for history in (found, expected):
        for arm in history["arms"]:
            del arm["seconds"]
    assert found == expected
    assert max(len(decision["train"]) for decision in found["decisions"]) > 1
    for mine, other in zip(tables(model), tables(alone), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert model.l2 == alone.l2
    assert float(model.optimizer.learning_rate) == float(alone.optimizer.learning_rate)

"""`from_config` reads the caller's dict and leaves it as it was."""

import copy

import contract
import keras
import numpy as np
import pytest
import test_id_space

from tf_autosample import BSL, EmbeddingTable, LazyAdam
from tf_autosample.models import InteractionGraph
from tf_autosample.models.two_tower import FeatureTable

PARTS = {
    "table": lambda: EmbeddingTable(3, 2),
    "graph": lambda: InteractionGraph(3, 4, 5),
    "features": lambda: FeatureTable.of({"age": np.arange(3.0)}),
    "optimizer": lambda: LazyAdam(0.1),
    "optimizer with a schedule": lambda: LazyAdam(keras.optimizers.schedules.CosineDecay(0.1, 9)),
    "loss": lambda: BSL(),
}
BUILDERS = {**test_id_space.MODELS, **contract.SAMPLERS, **PARTS}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_config_can_be_used_twice_and_stays_as_it_was(build):
    built = build()
    config = built.get_config()
    before = copy.deepcopy(config)
    again = [type(built).from_config(config) for _ in range(2)]
    assert config == before
    for one in again:
        assert one.get_config().keys() == before.keys()

import keras
import numpy as np
import pytest

from tf_autosample import (
    NGCF,
    EmbeddingTable,
    LightGCN,
    MatrixFactorization,
    TwoTower,
)
from tf_autosample.testing import ModelContract


def tower(rows, seed):
    start = keras.initializers.RandomNormal(seed=seed)
    ids = keras.Input((), dtype="int32", name="id")
    return keras.Model({"id": ids}, EmbeddingTable(rows, 4, initializer=start)(ids))


def two_tower(log, sampler):
    users, items = ({"id": np.arange(count)} for count in (log.num_users, log.num_items))
    towers = tower(log.num_users, 1), tower(log.num_items, 2)
    return TwoTower(users, items, *towers, sampler, normalize=True)


MODELS = {
    "mf": lambda log, sampler: MatrixFactorization(
        log.num_users, log.num_items, sampler, dim=4, seed=1
    ),
    "light-gcn": lambda log, sampler: LightGCN(log, sampler, dim=4, num_layers=2, seed=1),
    "ngcf": lambda log, sampler: NGCF(log, sampler, dim=4, num_layers=2, seed=1),
    "two-tower": two_tower,
}


class TestEveryModel(ModelContract):
    @pytest.fixture(autouse=True, params=MODELS)
    def row(self, request):
        self.make = MODELS[request.param]

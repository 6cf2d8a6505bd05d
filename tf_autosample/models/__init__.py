"""Retrieval models."""

import os

import keras

import tf_autosample.models.optimizers  # noqa: F401  registers the optimizer that a file may name
from tf_autosample.models.base import Encoders as Encoders
from tf_autosample.models.base import RetrievalModel as RetrievalModel
from tf_autosample.models.graph import GraphModel as GraphModel
from tf_autosample.models.graph import InteractionGraph as InteractionGraph
from tf_autosample.models.light_gcn import LightGCN as LightGCN
from tf_autosample.models.matrix_factorization import MatrixFactorization as MatrixFactorization
from tf_autosample.models.ngcf import NGCF as NGCF
from tf_autosample.models.two_tower import TwoTower as TwoTower


def load_model(path: str | os.PathLike) -> RetrievalModel:
    """Loads a model, with sampler and optimizer, from the `.keras` file that its `save` wrote.

    `keras.saving.load_model` does the same once all classes in the file have been imported,
    which `import tf_autosample` alone puts off. Import a class of your own before.
    """
    return keras.saving.load_model(path)

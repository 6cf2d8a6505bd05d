"""Retrieval models."""

from tf_autosample.models.base import Encoders as Encoders
from tf_autosample.models.base import RetrievalModel as RetrievalModel
from tf_autosample.models.graph import GraphModel as GraphModel
from tf_autosample.models.graph import InteractionGraph as InteractionGraph
from tf_autosample.models.light_gcn import LightGCN as LightGCN
from tf_autosample.models.matrix_factorization import MatrixFactorization as MatrixFactorization
from tf_autosample.models.ngcf import NGCF as NGCF
from tf_autosample.models.two_tower import TwoTower as TwoTower

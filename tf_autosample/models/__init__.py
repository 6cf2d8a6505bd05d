"""Retrieval models."""

from tf_autosample.models.base import Encoders as Encoders
from tf_autosample.models.base import RetrievalModel as RetrievalModel
from tf_autosample.models.matrix_factorization import MatrixFactorization as MatrixFactorization

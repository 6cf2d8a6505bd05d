"""Automatic negative sampling for retrieval models in TensorFlow and Keras.

Names are imported on first use, so that `autosample --help` and the serving client answer
without loading TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "AutoSample": "callback",
    "CandidatePool": "samplers",
    "DataError": "interactions",
    "DynamicSampler": "samplers",
    "EmbeddingTable": "embedding",
    "Encoders": "models",
    "Evaluation": "evaluation",
    "InteractionData": "reading",
    "Interactions": "interactions",
    "LazyAdam": "optimizers",
    "MatrixFactorization": "models",
    "MostPopular": "evaluation",
    "NegativeSampler": "samplers",
    "PopularitySampler": "samplers",
    "Proposal": "pipeline",
    "RaceSearch": "search",
    "RetrievalEvaluation": "evaluation",
    "RetrievalModel": "models",
    "SamplerMixture": "mixture",
    "TrainingBatches": "pipeline",
    "UniformSampler": "samplers",
    "Vocabulary": "vocabulary",
    "evaluate": "evaluation",
    "load_model": "models",
    "read_interactions": "reading",
    "split_last": "splitting",
    "split_random": "splitting",
    "split_time": "splitting",
    "training_batches": "pipeline",
}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Automatic negative sampling for retrieval models in TensorFlow and Keras.

Names are imported on first use, so that `autosample --help` and the serving client answer
without loading TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "AdaptiveHardnessSampler": "samplers",
    "Arm": "search",
    "AugmentedSampler": "samplers",
    "AutoSample": "callback",
    "BCE": "losses",
    "BPR": "losses",
    "BSL": "losses",
    "CandidatePool": "samplers",
    "ChainSampler": "samplers",
    "CosineContrastive": "losses",
    "DataError": "interactions",
    "DimensionMixupSampler": "samplers",
    "DisentangledSampler": "samplers",
    "DynamicSampler": "samplers",
    "EmbeddingTable": "embedding",
    "Encoders": "models",
    "Evaluation": "evaluation",
    "ExhaustiveSearch": "search",
    "FactorSampler": "samplers",
    "GradientSearch": "search",
    "HalvingSearch": "search",
    "Hinge": "losses",
    "InBatchSampler": "samplers",
    "InteractionData": "reading",
    "Interactions": "interactions",
    "LazyAdam": "optimizers",
    "LightGCN": "models",
    "Loss": "losses",
    "MatrixFactorization": "models",
    "MemorySampler": "samplers",
    "MixGCFSampler": "samplers",
    "MixedSampler": "samplers",
    "MostPopular": "evaluation",
    "NGCF": "models",
    "NegativeSampler": "samplers",
    "PopularitySampler": "samplers",
    "Proposal": "proposals",
    "RaceSearch": "search",
    "ResamplingSampler": "samplers",
    "RetrievalEvaluation": "evaluation",
    "RetrievalModel": "models",
    "SampledSoftmax": "losses",
    "SamplerMixture": "mixture",
    "SoftmaxSampler": "samplers",
    "TopSampler": "samplers",
    "TrainingBatches": "pipeline",
    "TwoTower": "models",
    "UniformSampler": "samplers",
    "Vocabulary": "vocabulary",
    "evaluate": "evaluation",
    "hardness_ladder": "samplers",
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

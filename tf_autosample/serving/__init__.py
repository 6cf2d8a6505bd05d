"""Serving: a client for model servers, and a small server to embed.

Names are imported on first use: the client never loads TensorFlow, and importing this package
loads neither gRPC nor httpx.
"""

import importlib

_MODULE_OF = {
    "DeadlineExceeded": "errors",
    "Embeddings": "results",
    "EmbeddedServer": "server",
    "InvalidRequest": "errors",
    "ModelMetadata": "results",
    "ModelNotFound": "errors",
    "RankedItems": "results",
    "Recommendations": "results",
    "Scores": "results",
    "ServerStartError": "errors",
    "ServerUnavailable": "errors",
    "ServingClient": "client",
    "ServingError": "errors",
    "Signature": "results",
    "SignatureNotFound": "errors",
    "SimilarItems": "results",
    "TensorSpec": "results",
    "UnexpectedResponse": "errors",
    "VersionStatus": "results",
}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Export of trained models as SavedModels for TensorFlow Serving.

Names are imported on first use, so that the client can read the signatures without TensorFlow.
"""

import importlib

_MODULE_OF = {"ExportError": "live", "export_retrieval": "publish"}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Export of trained models as SavedModels for TensorFlow Serving.

Names are imported on first use, so that the client can read the signatures without TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

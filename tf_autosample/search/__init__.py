"""The search for the sampler. Names are imported on first use: strategies need no TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

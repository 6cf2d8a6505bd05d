"""Full-ranking evaluation. Its names are imported on first use: the metrics load no TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

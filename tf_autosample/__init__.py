"""Automatic negative sampling for retrieval models in TensorFlow and Keras.

Names are imported on first use, so that `autosample --help` and the serving client answer
without loading TensorFlow; `__init__.pyi` names them for type checkers.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

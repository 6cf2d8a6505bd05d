"""Serving: a client for model servers, and a small server to embed.

Names are imported on first use: the client never loads TensorFlow, and importing this package
loads neither gRPC nor httpx.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

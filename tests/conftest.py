"""Environment of the test-suite, set before any test module can start TensorFlow."""

import os

# Subprocesses that tests start inherit these.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # failures should not drown in start-up notes
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # expected numbers are those of a CPU
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")  # gather-heavy steps run up to 4x faster
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ.setdefault("MPLBACKEND", "Agg")

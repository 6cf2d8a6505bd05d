"""What `autosample doctor` looks at."""

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at: "ok", "note" (works, could be better) or "problem"."""

    level: str
    subject: str
    detail: str


def examine() -> list[Finding]:
    """Examines versions, switches, devices and what serving needs."""
    return [*_versions(), _legacy_keras(), _allocator(), _devices(), _model_server()]


def _versions() -> list[Finding]:
    findings = [Finding("ok", "python", platform.python_version())]
    for name in ("tensorflow", "keras", "numpy", "protobuf", "grpcio", "tensorflow-serving-api"):
        try:
            findings.append(Finding("ok", name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding("problem", name, f"not installed: pip install {name}"))
    release = importlib.metadata.version("tensorflow").split(".")[:2]
    if release != ["2", "20"]:
        findings.append(
            Finding(
                "note",
                "tensorflow",
                "developed and tested on 2.20; export with the release that your servers run",
            )
        )
    return findings


def _legacy_keras() -> Finding:
    value = os.environ.get("TF_USE_LEGACY_KERAS")
    if value in ("1", "true", "True"):
        return Finding(
            "note",
            "TF_USE_LEGACY_KERAS",
            "set: tf.keras is Keras 2. This library uses `import keras`, which stays Keras 3",
        )
    return Finding("ok", "TF_USE_LEGACY_KERAS", "not set")


def _allocator() -> Finding:
    if os.environ.get("TF_CPU_ALLOCATOR_USE_BFC") == "1":
        return Finding(
            "ok", "TF_CPU_ALLOCATOR_USE_BFC", "1 (this command sets it; your own programs must)"
        )
    return Finding(
        "note",
        "TF_CPU_ALLOCATOR_USE_BFC",
        "not 1: set it before TensorFlow starts, steps on CPU get 2 to 4 times faster",
    )


def _devices() -> Finding:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return Finding(
            "note", "devices", f"{len(gpus)} GPU: Keras compiles steps with XLA there by default"
        )
    return Finding("ok", "devices", f"CPU, {os.cpu_count()} cores")


def _model_server() -> Finding:
    path = shutil.which("tensorflow_model_server")
    if path:
        return Finding("ok", "tensorflow_model_server", path)
    return Finding(
        "note", "tensorflow_model_server", "not on PATH: `autosample serve` has its own server"
    )

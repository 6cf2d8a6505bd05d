"""The real TensorFlow Serving as a process, where it is installed."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tf_autosample.serving import ServingClient


@contextlib.contextmanager
def model_server(models: dict[str, Path], folder: Path) -> Iterator[tuple[int, int]]:
    """The gRPC and REST port of a `tensorflow_model_server` that serves models by name."""
    configs = "".join(
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}\n'
        for name, path in models.items()
    )
    (folder / "models.config").write_text(f"model_config_list {{ {configs} }}")
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = one.getsockname()[1], two.getsockname()[1]
    process = subprocess.Popen(
        [
            "tensorflow_model_server",
            f"--port={ports[0]}",
            f"--rest_api_port={ports[1]}",
            f"--model_config_file={folder / 'models.config'}",
        ]
    )
    try:
        with ServingClient(f"127.0.0.1:{ports[0]}", model=next(iter(models))) as client:
            client.wait_until_ready()
        yield ports
    finally:
        process.terminate()
        process.wait()

"""What do importing the library, asking for help and querying a server cost?

Every measurement is a fresh process; the contestants of a table take turns and the medians count.
A first round that is left out compiles the sources and warms the disk's cache.

- imports: seconds to import TensorFlow and Keras, and what is added by `import tf_autosample`, and
  by importing every public name of it (names are imported on first use).
- help: `autosample --help`.
- client: importing the client; building one and its first `recommend`, and the median of 50 more,
  against an `EmbeddedServer` in a process of its own; last the same query through the official
  tensorflow-serving-api.

Columns: seconds as named; `process` from the start of the process to its end; the peak of the
resident memory; whether TensorFlow was imported, as `sys.modules` says.

    python -m benchmarks.imports [--rounds 5] [--out FILE.jsonl]

About 3 minutes on 2 quiet cores.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.recording import print_table, write_rows

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = {
    "tensorflow, keras": "",
    "+ tf_autosample": "import tf_autosample",
    "+ every public name": "from tf_autosample import *",
}
IMPORT = """
started = time.perf_counter()
import tensorflow, keras
found["import"] = time.perf_counter() - started
started = time.perf_counter()
{}
found["added"] = time.perf_counter() - started
"""
HELP = """
from tf_autosample.cli import main
sys.argv = ["autosample", "--help"]
with contextlib.suppress(SystemExit):
    main()
"""
CLIENT = """
started = time.perf_counter()
from tf_autosample.serving import ServingClient
found["import"] = time.perf_counter() - started
def connect():
    return ServingClient({target!r}, model="films")
def ask(client):
    return client.recommend([3], k=10).item_ids[0].tolist()
"""
OFFICIAL = """
started = time.perf_counter()
import grpc, tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
found["import"] = time.perf_counter() - started
def connect():
    channel = grpc.insecure_channel({target!r})
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)
def ask(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "films", "recommend"
    inputs = dict(user_id=tf.constant([3], tf.int64), exclude_ids=tf.zeros([1, 0], tf.int64), k=10)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return tf.make_ndarray(stub.Predict(request, 5.0).outputs["item_ids"])[0].tolist()
"""
QUERY = """
started = time.perf_counter()
client = connect()
found["answer"] = ask(client)
found["first query"] = time.perf_counter() - started
def seconds():
    started = time.perf_counter()
    ask(client)
    return time.perf_counter() - started
found["later queries"] = statistics.median(seconds() for _ in range(50))
"""
# `ru_maxrss` would begin at the peak of the process that started this one.
PROGRAM = """
import contextlib, json, statistics, sys, time
found = {{}}
{}
with open("/proc/self/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM"))
found["peak_mb"] = int(peak.split()[1]) / 1024
found["tensorflow"] = "tensorflow" in sys.modules
print(json.dumps(found), file=sys.stderr)
"""


def run(program: str) -> dict:
    """Runs a program in a fresh process and returns what it found, with its total seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users have compiled sources
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(program)],
        capture_output=True,
        text=True,
        env=environment,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"A measured process failed:\n{done.stderr}")
    return {**json.loads(done.stderr.splitlines()[-1]), "process": seconds}


def measure(programs: dict[str, str], rounds: int) -> list[dict]:
    """Returns the medians of every program, run in turns."""
    found = [{name: run(text) for name, text in programs.items()} for _ in range(rounds + 1)][1:]
    rows = []
    for name in programs:
        runs = [one[name] for one in found]
        row = {
            key: statistics.median(one[key] for one in runs)
            for key, value in runs[0].items()
            if isinstance(value, float)
        }
        others = {key: runs[0][key] for key in ("tensorflow", "answer") if key in runs[0]}
        rows.append({"contestant": name, **row, **others})
    return rows


def show(rows: list[dict], columns: dict[str, str]) -> None:
    """Prints the rows; columns are names of figures and how they are written."""
    lines = [
        (row["contestant"], *(form.format(row[name]) for name, form in columns.items()))
        + (f"{row['peak_mb']:.0f} MB", "yes" if row["tensorflow"] else "no")
        for row in rows
    ]
    print_table(("", *columns, "peak memory", "TensorFlow imported"), lines)


def measure_imports(rounds: int) -> list[dict]:
    """Prints what the imports cost."""
    programs = {name: IMPORT.format(more) for name, more in IMPORTS.items()}
    rows = measure(programs, rounds)
    show(rows, {"import": "{:.2f} s", "added": "{:.3f} s"})
    return rows


def measure_help(rounds: int) -> list[dict]:
    """Prints what asking for help costs."""
    rows = measure({"autosample --help": HELP, "python, nothing else": ""}, rounds)
    show(rows, {"process": "{:.2f} s"})
    return rows


def measure_client(rounds: int) -> list[dict]:
    """Prints what a query costs a process that did nothing before."""
    with embedded_server() as (grpc_port, rest_port):
        targets = {"gRPC": f"127.0.0.1:{grpc_port}", "REST": f"http://127.0.0.1:{rest_port}"}
        programs = {
            f"ServingClient, {name}": CLIENT.format(target=target) + QUERY
            for name, target in targets.items()
        }
        official = OFFICIAL.format(target=targets["gRPC"]) + QUERY
        rows = measure({**programs, "tensorflow-serving-api": official}, rounds)
    answers = [row.pop("answer") for row in rows]
    if answers[1:] != answers[:-1]:
        raise RuntimeError(f"All clients must get the same answer. Received: {answers}.")
    columns = {"import": "{:.2f} s", "first query": "{:.3f} s", "later queries": "{:.4f} s"}
    show(rows, {**columns, "process": "{:.2f} s"})
    return rows


@contextlib.contextmanager
def embedded_server() -> Iterator[tuple[int, int]]:
    """Starts a server in a process of its own; yields its gRPC and REST ports."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=serve, args=(folder, there))
        process.start()
        there.close()  # a server that dies is then noticed
        try:
            yield here.recv()
        finally:
            process.terminate()
            process.join()


def serve(folder: str, connection) -> None:
    """Exports a model of 1,000 users and 2,000 items and serves it until terminated."""
    import numpy as np

    from tf_autosample import Interactions, MatrixFactorization, UniformSampler, Vocabulary
    from tf_autosample.export import export_retrieval
    from tf_autosample.serving import EmbeddedServer

    seen = Interactions(np.arange(20_000) % 1000, np.arange(20_000) * 7 % 2000, 1000, 2000)
    model = MatrixFactorization(1000, 2000, UniformSampler(), dim=64, seed=1)
    ids = {"users": Vocabulary(np.arange(1000)), "items": Vocabulary(np.arange(2000))}
    export_retrieval(model, Path(folder) / "films", **ids, seen=seen)
    with EmbeddedServer(Path(folder) / "films") as server:
        connection.send((server.grpc_port, server.rest_port))
        server.wait()


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    measures = {"imports": measure_imports, "help": measure_help, "client": measure_client}
    for table, found in measures.items():
        rows += [{"table": table, **row} for row in found(arguments.rounds)]
    write_rows(arguments.out, rows)


if __name__ == "__main__":
    main()

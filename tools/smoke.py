"""Trains, exports and queries a tiny model with what `pip install tf_autosample` alone brings.

Runs in an environment without any extra, and checks that what needs one says how to get it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import tf_autosample as ta
from tf_autosample.extras import EXTRAS, MissingExtra
from tf_autosample.serving import EmbeddedServer, ServingClient

NEEDS_EXTRA = {"report"}


def import_public_names() -> None:
    """Imports all that the core promises."""
    for name in set(ta.__all__) - NEEDS_EXTRA:
        getattr(ta, name)


def expect_hint(extra: str, run) -> None:
    """Checks that `run` fails with the command that installs the extra, and prints it."""
    try:
        run()
    except MissingExtra as error:
        assert f"pip install 'tf_autosample[{extra}]'" in str(error), error
        print(error)
    else:
        raise AssertionError(f"the environment holds {EXTRAS[extra][1]}: is the core alone in it?")


def train_and_serve(folder: Path) -> None:
    """Two epochs, an export, and the same answer over gRPC and REST as from the model."""
    items = (np.arange(30)[:, None] + np.arange(5)) % 20
    log = ta.Interactions(np.repeat(np.arange(30), 5), items.ravel(), 30, 20)
    mixture = ta.SamplerMixture([ta.UniformSampler(), ta.DynamicSampler(4)])
    model = ta.MatrixFactorization(30, 20, mixture, dim=4, seed=1)
    model.compile(optimizer=ta.LazyAdam(0.01))
    batches = ta.training_batches(log, 50, mixture.proposal, seed=1)
    losses = model.fit(batches, epochs=2, verbose=0).history["loss"]
    assert len(losses) == 2 and np.isfinite(losses).all(), losses
    users = ta.Vocabulary([f"u{number}" for number in range(30)])
    goods = ta.Vocabulary([f"i{number}" for number in range(20)])
    path = ta.export.export_retrieval(model, folder / "shop", users=users, items=goods, seen=log)
    user_emb, item_emb = (np.asarray(table) for table in model.final_embeddings())
    scores = item_emb @ user_emb[users.encode(["u7"])[0]]
    scores[log.histories[users.encode(["u7"])[0]]] = -np.inf
    expected = [goods.decode([item])[0] for item in np.argsort(-scores)[:3]]
    with EmbeddedServer(path.parent) as server:
        for target in (f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}"):
            with ServingClient(target, model="shop") as client:
                client.wait_until_ready()
                assert client.recommend(["u7"], k=3).item_ids[0].tolist() == expected
    print("two epochs, an export, and both protocols give", expected)


def main() -> None:
    """Runs all checks; the first that fails ends it."""
    import_public_names()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.csv"
        log.write_text("user_id,item_id\n1,2\n")
        expect_hint("files", lambda: ta.read_interactions(log))
    expect_hint("report", lambda: ta.report)
    command = Path(sys.executable).with_name("autosample")
    done = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'tf_autosample[cli]'" in done.stderr, done
    print(done.stderr.strip())
    with tempfile.TemporaryDirectory() as folder:
        train_and_serve(Path(folder))


if __name__ == "__main__":
    main()

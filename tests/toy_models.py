"""What the tests of the models share: data with a known answer, and a fresh process."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from tf_autosample import Interactions, evaluate, training_batches

ROOT = Path(__file__).parent.parent

LOAD = """
import sys
import keras, numpy as np
import tf_autosample.models
model = keras.models.load_model(sys.argv[1])
np.savez(sys.argv[2], *model.final_embeddings())
"""


def checkerboard(size=20):
    """Users and items of the same parity belong together; one pair per user is held out."""
    pairs = [(u, i) for u in range(size) for i in range(size) if (u + i) % 2 == 0]
    is_test = np.array([i == (u + 4) % size for u, i in pairs])
    log = Interactions(*np.array(pairs).T, num_users=size, num_items=size)
    return log.select(~is_test), log.select(is_test)


def fitted(model, train, *, epochs, optimizer=None, batch_size=64):
    """Returns the losses per epoch."""
    model.compile(optimizer=optimizer or keras.optimizers.Adam(0.05))
    batches = training_batches(train, batch_size, model.sampler.proposal, seed=1)
    return model.fit(batches, epochs=epochs, verbose=0).history["loss"]


def recall_at_1(model, test, seen):
    # Of the items of the user's own parity, the held-out one alone is not in training.
    return evaluate(model, test, seen=seen, k=1).metrics["recall@1"]


def loaded_in_a_fresh_process(model, folder):
    """Saves the model and returns the final embeddings of the copy that another process loads."""
    model.save(folder / "model.keras")
    paths = [str(folder / "model.keras"), str(folder / "emb.npz")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *paths], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with np.load(paths[1]) as archive:
        return [archive[key] for key in archive.files]

"""The validation curve of every arm of a search, each trained alone from the same start.

Per data set, model and seed: holds out a tenth of each user's training part, trains each arm to its
own early stop on validation, and notes NDCG@20 and Recall@20 on validation at each measured epoch,
on test (training and validation masked) at each new best. Arms are independent of each other, so
`search_quality.py` can replay any strategy on these curves and get what it would have done. Rows
go to a JSON-lines file as they are measured; those that it holds already are not run again.

    python -m research.curves --data movielens-100k toy.npz ... [--models mf lightgcn-1]
        [--seeds 1 2 3] [--arms uniform dns:m=8 "dns:m=8 lr=0.003" "dns:m=8 after=dns:m=32*14"]
        [--users 0.25] [--out curves.jsonl]

An arm is a sampler, or a blend of several (`dns:m=8+dns:m=32`, equal weights), then what it
changes: `lr=`, `l2=`, `after=SAMPLER*EPOCHS` (what it trains with before). `--data` is a named data
set or an .npz with int32 arrays train_user, train_item, test_user, test_item. `--users` is the
fraction of the users to train, validate and test on, in batches as much smaller: what a search with
`sample_users` sees. Seconds are CPU seconds of training and validation; test is not in them.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from research.quality import read
from tf_autosample import (
    LazyAdam,
    MatrixFactorization,
    SamplerMixture,
    evaluate,
    training_batches,
)
from tf_autosample.cli.data import PreparedData
from tf_autosample.evaluation import DivergedError
from tf_autosample.models import LightGCN
from tf_autosample.samplers.named import AUTO, parse_samplers
from tf_autosample.search.contenders import measured_epochs
from tf_autosample.search.subsample import choose_users

STUDY = tuple(AUTO.split(","))
METRICS = ("ndcg@20", "recall@20")
MAX_EPOCHS, PATIENCE, BATCH_SIZE = 200, 12, 2048


@dataclass(frozen=True)
class ArmSettings:
    """An arm as it is written on the command line."""

    samplers: str
    learning_rate: float = 1e-3
    l2: float | None = None
    before: str | None = None
    before_epochs: int = 0

    @classmethod
    def parse(cls, text: str) -> "ArmSettings":
        """Reads `SAMPLER[+SAMPLER] [lr=X] [l2=X] [after=SAMPLER*EPOCHS]`."""
        samplers, *changes = text.split()
        values = dict(change.split("=", 1) for change in changes)
        before, _, epochs = values.pop("after", "").partition("*")
        settings = cls(
            samplers.replace("+", ","),
            float(values.pop("lr", cls.learning_rate)),
            float(values.pop("l2")) if "l2" in values else None,
            before or None,
            int(epochs or 0),
        )
        if values:
            raise ValueError(f"An arm takes lr=, l2= and after=. Received: {text!r}.")
        return settings


class Curve(keras.callbacks.Callback):
    """Measures as `AutoSample` does, stops as it does, and looks at test at each new best."""

    def __init__(self, data: PreparedData, switch_after: int):
        super().__init__()
        self.data, self.switch_after = data, switch_after
        self.points: list[dict] = []
        self.best, self.best_epoch = -1.0, 0
        self.seconds, self.measured = 0.0, measured_epochs(MAX_EPOCHS)

    def on_epoch_begin(self, epoch, logs=None):
        """Passes from the first sampler to the others when it is time."""
        if self.switch_after and epoch == self.switch_after:
            count = len(self.model.sampler.samplers) - 1
            self.model.train_as(weights=[0.0, *[1 / count] * count])
        self.started = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        """Notes a point of the curve."""
        epoch += 1
        if epoch in self.measured:
            try:
                found = evaluate(self.model, self.data.valid, seen=self.data.train, k=20)
            except DivergedError:
                self.model.stop_training = True
                return
            self.seconds += time.process_time() - self.started
            point = {"epoch": epoch, "seconds": round(self.seconds, 3)}
            point["valid"] = {name: round(float(found.metrics[name]), 6) for name in METRICS}
            if found.metrics["ndcg@20"] > self.best:
                self.best, self.best_epoch = float(found.metrics["ndcg@20"]), epoch
                test = evaluate(self.model, self.data.test, seen=self.data.known, k=20).metrics
                point["test"] = {name: round(float(test[name]), 6) for name in METRICS}
            self.points.append(point)
        else:
            self.seconds += time.process_time() - self.started
        if epoch > 1.5 * self.best_epoch + PATIENCE:
            self.model.stop_training = True


def of_some_users(data: PreparedData, fraction: float, seed: int) -> PreparedData:
    """What a search on a fraction of the users sees."""
    chosen = choose_users(data.valid, fraction, seed)
    parts = (one.select(chosen[one.users]) for one in (data.train, data.valid, data.test))
    return PreparedData(*parts, data.users, data.items)


def measure(data: PreparedData, model_name: str, arm: ArmSettings, seed: int, size: int) -> dict:
    """Trains one arm in batches of `size` to its early stop and returns its curve."""
    samplers = parse_samplers(arm.samplers)
    if arm.before:
        samplers = [*parse_samplers(arm.before), *samplers]
    mixture = SamplerMixture(samplers)
    shared = {"dim": 64, "seed": seed} | ({} if arm.l2 is None else {"l2": arm.l2})
    if model_name == "mf":
        model = MatrixFactorization(data.train.num_users, data.train.num_items, mixture, **shared)
        model.compile(optimizer=LazyAdam(arm.learning_rate))
    else:
        layers = int(model_name.removeprefix("lightgcn-"))
        model = LightGCN(data.train, mixture, num_layers=layers, **shared)
        model.compile(optimizer=keras.optimizers.Adam(arm.learning_rate))
    count = len(samplers) - bool(arm.before)
    weights = [1.0, *[0.0] * count] if arm.before else [1 / count] * count
    model.sampler.fix(weights)
    batches = training_batches(data.train, size, model.sampler.proposal, seed=seed)
    curve = Curve(data, arm.before_epochs)
    model.fit(batches, epochs=MAX_EPOCHS, callbacks=[curve], verbose=0)
    return {"curve": curve.points, "seconds": round(curve.seconds, 3)}


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--models", nargs="+", default=["mf"], help="mf, lightgcn-<layers>")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", default=list(STUDY))
    parser.add_argument("--users", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("curves.jsonl"))
    arguments = parser.parse_args()
    users, done = arguments.users, set()
    if arguments.out.exists():
        for line in arguments.out.read_text().splitlines():
            row = json.loads(line)
            done.add((row["data"], row["model"], row["seed"], row["arm"], row.get("users", 1.0)))
    for seed in arguments.seeds:
        for source in arguments.data:
            data = None
            for model in arguments.models:
                for arm in arguments.arms:
                    key = (Path(source).stem, model, seed, arm, users)
                    if key in done:
                        continue
                    data = data or of_some_users(read(source, seed), users, seed)
                    size = round(BATCH_SIZE * users)
                    found = measure(data, model, ArmSettings.parse(arm), seed, size)
                    names = dict(zip(("data", "model", "seed", "arm", "users"), key, strict=True))
                    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
                    with arguments.out.open("a") as file:
                        file.write(json.dumps({**names, **found, "versions": versions}) + "\n")
                    best = max(found["curve"], key=lambda one: one["valid"]["ndcg@20"])
                    print(*key, f"{found['seconds']:.0f} s", best, flush=True)
                    keras.backend.clear_session()


if __name__ == "__main__":
    main()

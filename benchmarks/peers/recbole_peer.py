"""How fast RecBole trains, or ranks the whole catalogue, on a given split.

    echo 2048 | ENV/bin/python benchmarks/peers/recbole_peer.py --data gowalla.npz --task uniform

Training is RecBole's own `Trainer._train_epoch` over its own loader: shuffling, sampling, forward
and backward pass, and a step of its Adam; `dns` is its dynamic sampler with 32 candidates. For
`evaluation` a batch size is the number of users ranked at a time, and the time is that of
`Trainer.evaluate` with Recall@20 and NDCG@20. d 64 throughout.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import recbole_shims  # noqa: F401
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.dataloader import FullSortEvalDataLoader, TrainDataLoader
from recbole.utils import get_model, get_trainer, init_seed
from worker import Clock, serve

CANDIDATES = 32


class Bounded:
    """As many passes over a loader as a clock allows."""

    def __init__(self, loader, clock: Clock):
        self.loader, self.clock = loader, clock

    def __iter__(self):
        while True:
            for batch in self.loader:
                if self.clock.tick(len(batch)):
                    return
                yield batch


def write_atomic_files(data: Path, folder: Path) -> None:
    """Writes a split in RecBole's format; it wants a validation part, here one test pair."""
    with np.load(data) as arrays:
        pairs = {
            part: np.stack([arrays[f"{part}_user"], arrays[f"{part}_item"]], axis=1)
            for part in ("train", "test")
        }
    pairs["valid"] = pairs["test"][:1]
    folder.mkdir()
    for part, rows in pairs.items():
        header = "user_id:token\titem_id:token"
        path = folder / f"{folder.name}.{part}.inter"
        np.savetxt(path, rows, fmt="%d", delimiter="\t", header=header, comments="")


class Contestant:
    """RecBole with its data loaded."""

    def __init__(self, task: str, folder: Path, seconds: float):
        self.task, self.seconds = task, seconds
        model = "LightGCN" if task == "lightgcn" else "BPR"
        self.config = Config(model, folder.name, config_dict=settings(task, folder.parent))
        init_seed(1, False)
        dataset = create_dataset(self.config)
        self.train, _, self.test = data_preparation(self.config, dataset)
        self.model = get_model(model)(self.config, self.train.dataset)
        self.trainer = get_trainer(self.config["MODEL_TYPE"], model)(self.config, self.model)

    def measure(self, size: int) -> dict:
        """Measures with batches of `size`."""
        return self.ranked_users(size) if self.task == "evaluation" else self.positives(size)

    def positives(self, size: int) -> dict:
        self.config["train_batch_size"] = size
        loader = TrainDataLoader(self.config, self.train._dataset, self.train._sampler, True)
        loader.get_model(self.model)  # the dynamic sampler scores with it
        clock = Clock(self.seconds)
        self.trainer._train_epoch(Bounded(loader, clock), 0)
        return clock.row()

    def ranked_users(self, size: int) -> dict:
        self.config["eval_batch_size"] = size * self.test._dataset.item_num
        loader = FullSortEvalDataLoader(self.config, self.test._dataset, self.test._sampler)
        started = time.perf_counter()
        found = self.trainer.evaluate(loader, load_best_model=False)
        seconds = time.perf_counter() - started
        users = loader.sample_size
        return {"rate": users / seconds, "unit": "users/s", "seconds": seconds, **found}


def settings(task: str, data_path: Path) -> dict:
    """RecBole's configuration: what is not here stands as RecBole has it."""
    sampling = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False}
    if task == "dns":
        sampling |= {"dynamic": True, "candidate_num": CANDIDATES}
    evaluation = {"split": {"RS": [8, 1, 1]}, "order": "RO", "group_by": "user", "mode": "full"}
    model = {"embedding_size": 64}
    if task == "lightgcn":
        model |= {"n_layers": 3, "reg_weight": 1e-4}
    return {
        "data_path": str(data_path),
        "checkpoint_dir": str(data_path / "saved"),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "train_neg_sample_args": sampling,
        "eval_args": evaluation,
        "metrics": ["Recall", "NDCG"],
        "topk": [20],
        "valid_metric": "NDCG@20",
        "learning_rate": 1e-3,
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
        **model,
    }


def main() -> None:
    """Answers the batch sizes on standard input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    tasks = ("uniform", "dns", "lightgcn", "evaluation")
    parser.add_argument("--task", choices=tasks, required=True)
    parser.add_argument("--seconds", type=float, default=3.0, help="per training measurement")
    arguments = parser.parse_args()
    del sys.argv[1:]  # RecBole reads settings from it
    # All cores, which is best when nothing else runs; on a busy machine its threads wait for each
    # other at every operation, and OMP_NUM_THREADS=1 is far better.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pairs"
        write_atomic_files(arguments.data, folder)
        os.chdir(name)  # RecBole writes logs beside itself
        versions = {"recbole": "1.2.1", "torch": torch.__version__, "numpy": np.__version__}
        serve(Contestant(arguments.task, folder, arguments.seconds).measure, versions)


if __name__ == "__main__":
    main()

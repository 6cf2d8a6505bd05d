"""Training a run: search, final model, test."""

import time
from dataclasses import dataclass

import keras
from rich.console import Console

from tf_autosample.callback import AutoSample
from tf_autosample.cli.data import PreparedData
from tf_autosample.cli.progress import SearchProgress
from tf_autosample.cli.runs import Run
from tf_autosample.cli.samplers import parse_samplers
from tf_autosample.evaluation import evaluate
from tf_autosample.mixture import SamplerMixture
from tf_autosample.models import NGCF, LightGCN, MatrixFactorization, RetrievalModel
from tf_autosample.optimizers import LazyAdam
from tf_autosample.pipeline import training_batches
from tf_autosample.report import save_curves

GRAPH_MODELS = {"lightgcn": LightGCN, "ngcf": NGCF}
MODELS = ("mf", *GRAPH_MODELS)


@dataclass(frozen=True)
class TrainingSettings:
    """What a run trains with."""

    model: str = "mf"
    sampler: str = "auto"
    dim: int = 64
    batch_size: int = 2048
    learning_rate: float = 1e-3
    l2: float | None = None  # the model's own default
    max_epochs: int = 200
    seed: int = 1

    def __post_init__(self):
        if self.model not in MODELS:
            raise ValueError(
                f"`--model` must be one of {', '.join(MODELS)}. Received: {self.model!r}."
            )


@dataclass(frozen=True)
class Trained:
    """A trained model, the record of its search, its test metrics and its seconds."""

    model: keras.Model
    search: AutoSample
    metrics: dict[str, float] | None
    seconds: float


def build_model(data: PreparedData, settings: TrainingSettings) -> RetrievalModel:
    """Returns the compiled model. A graph model's step touches every row: its Adam is dense."""
    mixture = SamplerMixture(parse_samplers(settings.sampler))
    shared = {"dim": settings.dim, "seed": settings.seed}
    if settings.l2 is not None:
        shared["l2"] = settings.l2
    if settings.model == "mf":
        size = data.train.num_users, data.train.num_items
        model = MatrixFactorization(*size, mixture, **shared)
        model.compile(optimizer=LazyAdam(settings.learning_rate))
    else:
        model = GRAPH_MODELS[settings.model](data.train, mixture, **shared)
        model.compile(optimizer=keras.optimizers.Adam(settings.learning_rate))
    return model


def train(
    data: PreparedData,
    settings: TrainingSettings,
    console: Console,
    *,
    run: Run | None = None,
    resume: bool = False,
) -> Trained:
    """Searches among the samplers, trains the chosen one and evaluates it on test.

    With one sampler there is nothing to choose: it trains alone, with the same patience.

    Args:
        data: The splits.
        settings: How to train.
        console: Where progress goes.
        run: The directory to write to. None writes nothing.
        resume: Go on with what the directory holds.
    """
    started = time.perf_counter()
    model = build_model(data, settings)
    batches = training_batches(
        data.train, settings.batch_size, model.sampler.proposal, seed=settings.seed
    )
    search = AutoSample(
        data.valid,
        max_epochs=settings.max_epochs,
        directory=None if run is None else run.path,
        resume=resume,
    )
    budget = settings.max_epochs * len(model.sampler.samplers)
    progress = SearchProgress(search, console)
    try:
        model.fit(batches, epochs=budget, callbacks=[search, progress], verbose=0)
    finally:
        progress.bar.stop()
    metrics = None
    if data.test is not None:
        metrics = evaluate(model, data.test, seen=data.known, k=20).metrics
    trained = Trained(model, search, metrics, time.perf_counter() - started)
    if run is not None:
        _write(run, trained)
    return trained


def _write(run: Run, trained: Trained) -> None:
    run.write_file("curves.png", lambda path: save_curves(trained.search.history, path))
    run.write_file("model.keras", trained.model.save)
    run.write("metrics.json", summary(trained))


def summary(trained: Trained) -> dict:
    """What a run reports: the chosen sampler, its validation and test metrics, the cost."""
    history = trained.search.history
    winner = trained.search.record.arm(history["winner"])
    return {
        "sampler": winner.name,
        "reason": history["reason"],
        "runner_up": history["runner_up"],
        history["settings"]["metric"]: winner.best,
        "best_epoch": winner.best_epoch,
        "epochs_trained": sum(arm["epochs"] for arm in history["arms"]),
        "seconds": round(trained.seconds, 1),
        "test": trained.metrics,
    }

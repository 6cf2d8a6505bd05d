"""Training a run: search, final model, test."""

import time
from dataclasses import dataclass

import keras
from rich.console import Console

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.cli.continuing import take_over
from tf_autosample.cli.data import PreparedData
from tf_autosample.cli.progress import SearchProgress
from tf_autosample.cli.runs import Run
from tf_autosample.cli.settings import STRATEGIES, TrainingSettings
from tf_autosample.evaluation.ranking import Evaluation, evaluate
from tf_autosample.models import NGCF, LightGCN, MatrixFactorization, RetrievalModel
from tf_autosample.models.optimizers import LazyAdam
from tf_autosample.report import save_curves
from tf_autosample.samplers.mixture import SamplerMixture
from tf_autosample.samplers.named import parse_samplers
from tf_autosample.search.auto_sample import AutoSample
from tf_autosample.search.record import SearchRecord
from tf_autosample.search.strategies import RaceSearch

GRAPH_MODELS = {"lightgcn": LightGCN, "ngcf": NGCF}


@dataclass(frozen=True)
class Trained:
    """A trained model, the record of its search, what it reached on test, and its seconds."""

    model: keras.Model
    search: AutoSample
    evaluation: Evaluation | None
    seconds: float

    @property
    def metrics(self) -> dict[str, float] | None:
        """The test metrics, None without a test part."""
        return None if self.evaluation is None else self.evaluation.metrics


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
    workers: int = 1,
    beginning: RetrievalModel | None = None,
) -> Trained:
    """Searches among the samplers, trains the chosen one and evaluates it on test.

    Args:
        data: The splits.
        settings: How to train.
        console: Where progress goes.
        run: The directory to write to. None writes nothing.
        resume: Go on with what the directory holds.
        workers: How many processes train samplers side by side.
        beginning: A trained model over the same ids, to go on from.
    """
    started = time.perf_counter()
    model = build_model(data, settings)
    if beginning is not None:
        take_over(model, beginning)
    search = AutoSample(
        data.valid,
        max_epochs=settings.max_epochs,
        directory=None if run is None else run.path,
        resume=resume,
        **_how_to_search(settings, len(model.sampler.samplers), workers),
    )
    _fit(model, search, data, settings, console)
    evaluation = None
    if data.test is not None:
        evaluation = evaluate(model, data.test, seen=data.known, k=20)
    trained = Trained(model, search, evaluation, time.perf_counter() - started)
    if run is not None:
        _write(run, trained, data)
    return trained


def _how_to_search(settings: TrainingSettings, num_samplers: int, workers: int) -> dict:
    """With one sampler there is nothing to choose: it trains alone, with the same patience."""
    if num_samplers == 1:
        return {"strategy": RaceSearch(sample_users=1.0)}
    asked = {} if settings.sample_users is None else {"sample_users": settings.sample_users}
    return {"strategy": STRATEGIES[settings.strategy](**asked), "workers": workers}


def _fit(model, search: AutoSample, data: PreparedData, settings: TrainingSettings, console):
    proposal = model.sampler.proposal
    batches = training_batches(data.train, settings.batch_size, proposal, seed=settings.seed)
    # More than any search takes: it ends by its own rules. An arm of all samplers may join.
    epochs = settings.max_epochs * (len(model.sampler.samplers) + 1)
    progress = SearchProgress(search, console)
    try:
        model.fit(batches, epochs=epochs, callbacks=[search, progress], verbose=0)
    finally:
        progress.bar.stop()


def _write(run: Run, trained: Trained, data: PreparedData) -> None:
    run.write_file("curves.png", lambda path: save_curves(trained.search.record, path))
    run.write_file("model.keras", trained.model.save)
    run.write("metrics.json", summary(trained, data))


def summary(trained: Trained, data: PreparedData) -> dict:
    """What a run reports: the chosen sampler, its metrics, the cost, what became of the rows."""
    record = trained.search.record
    winner = record.arm(record.winner)
    race = record.subsample or record  # where the sampler was chosen
    return {
        "sampler": winner.name,
        "reason": race.reason,
        "runner_up": race.runner_up,
        record.settings["metric"]: winner.best,
        "best_epoch": winner.best_epoch,
        "epochs_trained": epochs_trained(record),
        "seconds": round(trained.seconds, 1),
        "test": trained.metrics,
        "untrained": {} if trained.evaluation is None else untrained(trained.evaluation),
        "counts": data.counts,
    }


def untrained(found: Evaluation) -> dict:
    """What of an evaluation had no training row, and the metrics without it where there is any."""
    counts = {"users": found.num_untrained_users, "interactions": found.num_untrained_pairs}
    rest = {f"{name} without": value for name, value in found.trained_metrics.items()}
    return {**counts, **rest} if any(counts.values()) else counts


def epochs_trained(record: SearchRecord) -> int:
    """Epochs of all arms together, those on a sample of the users included."""
    return record.epochs + (record.subsample.epochs if record.subsample else 0)

"""The `AutoSample` callback: searches, chooses and trains the final model in one `fit`."""

import dataclasses
import json
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import keras

from tf_autosample.data.checks import at_least, check_id_space
from tf_autosample.data.interactions import Interactions
from tf_autosample.models.fitting import FitDriver
from tf_autosample.search.arms import Arm
from tf_autosample.search.checks import check_arguments, check_callbacks, check_fit, data_checksum
from tf_autosample.search.contenders import Contender, all_contenders, choose
from tf_autosample.search.record import SearchRecord
from tf_autosample.search.runner import ArmRunner
from tf_autosample.search.snapshots import Snapshots
from tf_autosample.search.strategies import ExhaustiveSearch, RaceSearch, Strategy
from tf_autosample.search.subsample import race_on_sample
from tf_autosample.search.workers import Workers

log = logging.getLogger(__name__)


class NothingMeasuredError(RuntimeError, ValueError):
    """No arm has a single metric; a ValueError, since other epochs or rates would mend it."""


class AutoSample(FitDriver):
    """Finds the sampler that suits model and data, and leaves the trained winner in the model.

    Every arm is a point of the simplex over the samplers of `model.sampler`: the single samplers,
    and the arms you add. All start from the model's weights as `fit` finds them and see the
    same batches. Each epoch of `fit` goes to one arm; the strategy says to which, and drops arms
    that cannot win. When it is done, `fit` stops: the model holds the winner's best weights, its
    mixture is fixed, so that a further step costs what that sampler costs, and its optimizer and
    the epoch that a further `fit` goes on with are as `fit` found them. Every arm begins with epoch
    0 of the batches. A `fit` that an exception or Ctrl-C ends leaves the model in the state of
    whichever arm was training; with a `directory`, `resume` picks the search up again.

    `logs` carry the metric (of the epoch's arm, as last measured), `arm` and `leader` (positions
    in `history["arms"]`: Keras averages log values, so they cannot be names) and `arms_alive`. In
    the last epoch metric and `arm` are the winner's.

    Args:
        validation: Interactions held out of training. They choose the arm and its epoch, so
            report on others.
        strategy: What decides which arms train, and on how many of the users. Defaults to
            `RaceSearch()`.
        metric: A metric of `evaluate` with a value per user, after "val_".
        arms: Arms beside the single samplers: blends, other learning rates or penalties, a
            sampler to begin with. For example `Arm({"dns8": 0.5, "dns32": 0.5})` or
            `Arm({"dns32": 1.0}, learning_rate=3e-4, l2=0.05)`.
        max_epochs: The last epoch of any arm.
        patience: An arm stops at an epoch beyond `1.5 * best epoch + patience`.
        directory: Where `search.json` and the states go after every epoch. None keeps them in
            memory.
        resume: Go on with the search in `directory`, if there is one; also with one that ended
            only because the `epochs` of its `fit` were used up.
        workers: How many processes train arms side by side. More than one need a script whose
            work stands under `if __name__ == "__main__":`, and custom classes that can be
            imported. The choice and the weights are the same; memory is one model per process,
            and the `epochs` of `fit` are counted only once all arms of a decision have trained.

    Attributes:
        history: Every curve, every decision with its reason, the winner and why, the cost per
            arm; the content of `search.json`.
        record: The same as a `SearchRecord`, which `report` draws; None before `fit`.

    Reference: our own reading of the abstract of Lyu et al., "Towards Automated Negative Sampling
    in Implicit Recommendation", arXiv 2311.03526.
    """

    def __init__(
        self,
        validation: Interactions,
        strategy: Strategy | None = None,
        metric: str = "val_ndcg@20",
        *,
        arms: Sequence[Arm] = (),
        max_epochs: int = 200,
        patience: int = 12,
        directory: str | os.PathLike | None = None,
        resume: bool = False,
        workers: int = 1,
    ):
        super().__init__()
        self.validation = validation
        self.strategy = RaceSearch() if strategy is None else strategy
        self.metric = metric
        self.arms = list(arms)
        self.max_epochs = at_least(1, max_epochs=max_epochs)
        self.patience = at_least(0, patience=patience)
        self.directory = None if directory is None else Path(directory)
        self.resume = resume
        self.workers = at_least(1, workers=workers)
        check_arguments(self)
        self.record: SearchRecord | None = None
        self._sampled: AutoSample | None = None

    @property
    def history(self) -> dict:
        return {} if self.record is None else self.record.as_dict()

    @property
    def winner(self) -> str | None:
        """Name of the chosen arm, None while the search goes on."""
        return None if self.record is None else self.record.winner

    def before_fit(self, model: keras.Model, batches, callbacks) -> None:
        """Races on a sample of the users first, if there is to be one. `fit` calls it."""
        check_callbacks(callbacks)
        check_id_space("validation", self.validation, model)
        self._sampled = race_on_sample(self, model, batches)

    def on_train_begin(self, logs=None):
        check_fit(self.model, self, self.validation)
        self.runner = ArmRunner(
            self.model,
            self.validation,
            self.metric.removeprefix("val_"),
            self.max_epochs,
            self.patience,
            Snapshots(self._open_states()),
        )
        self.record = self._new_record()
        if not self._restore():
            self.runner.save_initial()
            self._decide()
            self._commit()
        if self.workers > 1 and self.record.winner is None:
            self._search_in_workers()

    def on_epoch_begin(self, epoch, logs=None):
        if self.record.winner is not None:
            self.model.stop_training = True  # Keras runs one step all the same
        else:
            self.runner.begin_epoch(self._behind()[0])

    def on_epoch_end(self, epoch, logs=None):
        if self.record.winner is None:
            arm = self._behind()[0]
            self._end_epoch(arm)
            value = arm.curve[-1][1] if arm.curve else float("nan")
        if self.record.winner is not None:  # logs and a `ModelCheckpoint` show the winner
            arm = self.record.arm(self.record.winner)
            self.runner.load_best(arm)
            self.model.stop_training = True
            value = arm.best
        arms = self.record.arms
        if logs is not None:
            logs[self.metric] = value
            logs["arm"], logs["leader"] = arms.index(arm), arms.index(self.record.leader)
            logs["arms_alive"] = sum(one.dropped is None for one in arms)

    def on_train_end(self, logs=None):
        if self.record.winner is None:
            self._choose("`fit` was stopped before the search was over")
            self._commit()
        self.runner.load_best(self.record.arm(self.record.winner))

    def _open_states(self) -> Path | None:
        if self.directory is not None:
            return self.directory / "states"
        if self.workers == 1:
            return None
        scratch = Path(tempfile.mkdtemp(prefix="tf_autosample-"))
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        return scratch

    def _new_record(self) -> SearchRecord:
        if self._sampled is None:
            arms = all_contenders(self.model.sampler.samplers, self.arms)
            return SearchRecord(self._settings(), self.strategy.first_arms(arms))
        race = self._sampled.record
        final = race.arm(race.winner).untrained()
        return SearchRecord(self._settings(), [final], subsample=race)

    def _behind(self) -> list[Contender]:
        """The arms of the last decision that are not where it wants them."""
        decision = self.record.decisions[-1]
        arms = map(self.record.arm, decision.train)
        return [one for one in arms if one.epochs < decision.until and not one.stopped]

    def _end_epoch(self, arm: Contender):
        self.runner.end_epoch(arm)
        turn_is_over = arm.stopped or arm.epochs >= self.record.decisions[-1].until
        if not arm.stopped and (turn_is_over or self.directory is not None):
            self.runner.save(arm)
        self._go_on()

    def _go_on(self):
        """Asks for the next decision once all arms are where the last one wanted them."""
        if not self._behind():
            self._decide()
        if self.record.winner is None and self.record.epochs >= self.params["epochs"]:
            self._choose(f"the {self.record.epochs} epochs that `fit` was given are used up")
        self._commit()

    def _search_in_workers(self):
        with Workers(self.workers, self.runner) as workers:
            while self.record.winner is None:
                for arm in workers.train(self._behind(), self.record.decisions[-1].until):
                    self.record.replace(arm)
                self._go_on()

    def _decide(self):
        # After a race on a sample nothing is left to decide: its winner trains to its end.
        strategy = self.strategy if self._sampled is None else ExhaustiveSearch()
        decision = strategy.decide(self.record.arms, self.max_epochs)
        self.record.decisions.append(decision)
        for name, reason in decision.drops.items():
            self.record.arm(name).dropped = reason
            log.info("dropped %s: %s", name, reason)
        for arm in decision.enter:
            samplers = self.model.sampler.samplers
            self.record.arms.append(Contender.of(arm, samplers, is_extra=True))
            log.info("%s enters: %s", arm.name, decision.reason)
        if not decision.train:
            self._choose(decision.reason)

    def _choose(self, reason: str):
        measured = self.record.measured
        if not measured:
            raise NothingMeasuredError(
                "No arm could be measured. Give `fit` more `epochs`; if a warning above says that "
                "the arms diverged, compile with a smaller learning rate."
            )
        winner = choose(measured)
        self.record.winner, self.record.reason = winner.name, reason
        self.record.comparisons = {
            arm.name: self.runner.against(arm, winner) for arm in measured if arm is not winner
        }
        log.info("chose %s: %s", winner.name, self.record.reason)

    def _settings(self) -> dict:
        strategy = {"name": type(self.strategy).__name__, **dataclasses.asdict(self.strategy)}
        settings = {
            "metric": self.metric,
            "strategy": strategy,
            "max_epochs": self.max_epochs,
            "patience": self.patience,
            "samplers": self.model.sampler.names,
            "data_checksum": data_checksum(self.model.batches, self.validation),
        }
        return json.loads(json.dumps(settings))  # as they will be read: a tuple becomes a list

    def _restore(self) -> bool:
        """Goes on from `search.json`. Returns whether there was one."""
        path = None if self.directory is None else self.directory / "search.json"
        if path is None or not path.exists():
            return False
        if not self.resume:
            raise ValueError(
                f"`directory` already holds a search. Received: directory={str(self.directory)!r}. "
                "Pass resume=True to go on with it, or another directory."
            )
        stored = SearchRecord.read(path)
        stored.check_same_search(self.record)
        if stored.epochs < self.params["epochs"]:
            stored.reopen()
        self.record = stored
        return True

    def _commit(self):
        """Writes the record after all states that it names, then deletes the others."""
        if self.directory is not None:
            self.record.write(self.directory / "search.json")
        self.runner.snapshots.keep_only({"initial"} | self.record.live_states)

"""The `AutoSample` callback: searches, chooses and trains the final model in one `fit`."""

import dataclasses
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from tf_autosample.callback.checks import check_fit, data_checksum
from tf_autosample.evaluation import DivergedError, evaluate
from tf_autosample.interactions import Interactions
from tf_autosample.metrics import METRICS
from tf_autosample.record import SearchRecord
from tf_autosample.search import Arm, RaceSearch, all_arms, choose, measured_epochs, paired_t
from tf_autosample.snapshots import Snapshots, read_variables, write_variables

log = logging.getLogger(__name__)


class AutoSample(keras.callbacks.Callback):
    """Finds the sampler that suits model and data, and leaves the trained winner in the model.

    Every arm is a point of the simplex over the samplers of `model.sampler`: the single samplers,
    and the blends you add. All start from the model's weights as `fit` finds them and see the
    same batches. Each epoch of `fit` goes to one arm; the strategy says to which, and drops arms
    that cannot win. When it is done, `fit` stops: the model holds the winner's best weights, its
    mixture is fixed, so that a further step costs what that sampler costs, and its optimizer is
    as `fit` found it. A `fit` that an exception or Ctrl-C ends leaves the model in the state of
    whichever arm was training; with a `directory`, `resume` picks the search up again.

    `logs` carry the metric (of the epoch's arm, as last measured), `arm` and `leader` (positions
    in `history["arms"]`: Keras averages log values, so they cannot be names) and `arms_alive`. In
    the last epoch metric and `arm` are the winner's.

    Args:
        validation: Interactions held out of training. They choose the arm and its epoch, so
            report on others.
        strategy: What decides which arm trains. Defaults to `RaceSearch()`.
        metric: A metric of `evaluate` with a value per user, after "val_".
        blends: Further arms, each a mapping from sampler name to weight; weights sum to 1.
        max_epochs: The last epoch of any arm.
        patience: An arm stops at an epoch beyond `1.5 * best epoch + patience`.
        directory: Where `search.json` and the states go after every epoch. None keeps them in
            memory.
        resume: Go on with the search in `directory`, if there is one; also with one that ended
            only because the `epochs` of its `fit` were used up.

    Attributes:
        history: Every curve, every decision with its reason, the winner and why, the cost per
            arm; the content of `search.json`.

    Reference: our own reading of the abstract of Lyu et al., "Towards Automated Negative Sampling
    in Implicit Recommendation", arXiv 2311.03526.
    """

    steers_epochs = True  # `RetrievalModel.fit` leaves the start of an epoch to it

    def __init__(
        self,
        validation: Interactions,
        strategy: RaceSearch | None = None,
        metric: str = "val_ndcg@20",
        *,
        blends: Sequence[Mapping[str, float]] = (),
        max_epochs: int = 200,
        patience: int = 12,
        directory: str | os.PathLike | None = None,
        resume: bool = False,
    ):
        super().__init__()
        if not len(validation):
            raise ValueError("`validation` must hold interactions. Received: none.")
        name, _, cutoff = metric.removeprefix("val_").partition("@")
        fits = cutoff.isdecimal() and 1 <= int(cutoff) <= validation.num_items
        if not (metric.startswith("val_") and name in METRICS and fits):
            raise ValueError(
                f"`metric` must be 'val_<name>@<k>', <name> one of {', '.join(METRICS)} and <k> "
                f"from 1 to the {validation.num_items} items. Received: metric={metric!r}."
            )
        if max_epochs < 1 or patience < 0:
            raise ValueError(
                "`max_epochs` must be >= 1 and `patience` >= 0. "
                f"Received: max_epochs={max_epochs!r}, patience={patience!r}."
            )
        if resume and directory is None:
            raise ValueError("`resume` needs the `directory` of the search to go on with.")
        self.validation = validation
        self.strategy = strategy or RaceSearch()
        self.metric, self._name, self._cutoff = metric, f"{name}@{cutoff}", int(cutoff)
        self.blends = blends
        self.max_epochs, self.patience = max_epochs, patience
        self.directory = None if directory is None else Path(directory)
        self.resume = resume
        self.record: SearchRecord | None = None

    @property
    def history(self) -> dict:
        return {} if self.record is None else self.record.as_dict()

    @property
    def winner(self) -> str | None:
        """Name of the chosen arm, None while the search goes on."""
        return None if self.record is None else self.record.winner

    def on_train_begin(self, logs=None):
        check_fit(self.model, self, self.validation)
        self.model.optimizer.build(self.model.trainable_variables)
        self._measured = measured_epochs(self.max_epochs)
        self._loaded: str | None = None
        self._train_functions: dict = {}
        self.record = SearchRecord(
            self._settings(), all_arms(self.model.sampler.samplers, self.blends)
        )
        states = None if self.directory is None else self.directory / "states"
        self._snapshots = Snapshots(states)
        if not self._restore():
            self._snapshots.save("initial", read_variables(self._variables))
            self._decide()
            self._commit()

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()
        if self.record.winner is not None:
            self.model.stop_training = True  # Keras runs one step all the same
            return
        self._load(self.record.decisions[-1].train)
        self.model.begin_epoch(self.record.arm(self._loaded).epochs)

    def on_epoch_end(self, epoch, logs=None):
        if self.record.winner is None:
            arm = self.record.arm(self._loaded)
            self._end_epoch(arm)
            value = arm.curve[-1][1] if arm.curve else float("nan")
        if self.record.winner is not None:  # logs and a `ModelCheckpoint` show the winner
            self._load_winner()
            self.model.stop_training = True
            arm = self.record.arm(self.record.winner)
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
        self._load_winner()

    def _end_epoch(self, arm: Arm):
        arm.epochs += 1
        arm.examples += self.model.batches.num_rows
        if arm.epochs in self._measured:
            self._measure(arm)
        out_of_patience = arm.epochs > 1.5 * arm.best_epoch + self.patience
        arm.stopped |= arm.epochs >= self.max_epochs or out_of_patience
        arm.seconds += time.perf_counter() - self._started
        turn_is_over = arm.stopped or arm.epochs >= self.record.decisions[-1].until
        if not arm.stopped and (turn_is_over or self.directory is not None):
            self.record.states[arm.name] = f"last-{arm.name}-{arm.epochs}"
            self._snapshots.save(self.record.states[arm.name], read_variables(self._variables))
        if turn_is_over:
            self._decide()
        if self.record.winner is None and self.record.epochs >= self.params["epochs"]:
            self._choose(f"the {self.record.epochs} epochs that `fit` was given are used up")
        self._commit()

    def _load_winner(self):
        winner = self.record.arm(self.record.winner)
        *weights, _ = self._snapshots.load(self.record.best_states[winner.name])
        # The slots at hand may be another arm's, which would pull the winner astray.
        optimizer = self._snapshots.load("initial")[len(weights) :]
        write_variables(self._variables, [*weights, *optimizer])
        self.model.sampler.fix(winner.weights)
        self.model.train_function = None  # the next `fit` traces the fixed mixture anew

    @property
    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

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

    def _load(self, name: str):
        """Puts an arm's weights, optimizer slots and train function in place."""
        if name == self._loaded:
            return
        self._loaded = name
        state = self.record.states.get(name, "initial")
        write_variables(self._variables, self._snapshots.load(state))
        self.model.sampler.fix(self.record.arm(name).weights)
        # One function per arm, traced once: it holds the arm's own samplers and no others.
        self.model.train_function = self._train_functions.get(name)
        self.model.make_train_function()
        self._train_functions[name] = self.model.train_function

    def _measure(self, arm: Arm):
        seen = self.model.batches.interactions
        try:
            result = evaluate(self.model, self.validation, seen=seen, k=self._cutoff)
        except DivergedError as error:  # it has its best so far; the others go on
            log.warning("stopped %s at epoch %d: %s", arm.name, arm.epochs, error)
            arm.stopped = True
            return
        value = float(result.metrics[self._name])
        if value > arm.best:
            self.record.best_states[arm.name] = f"best-{arm.name}-{arm.epochs}"
            arrays = [*read_variables(self.model.variables), result.per_user[self._name]]
            self._snapshots.save(self.record.best_states[arm.name], arrays)
        arm.curve.append((arm.epochs, value))

    def _decide(self):
        decision = self.strategy.decide(self.record.arms, self.max_epochs)
        self.record.decisions.append(decision)
        for name, reason in decision.drops.items():
            self.record.arm(name).dropped = reason
            log.info("dropped %s: %s", name, reason)
        if decision.train is None:
            self._choose(decision.reason)

    def _choose(self, reason: str):
        measured = [arm for arm in self.record.arms if arm.curve]
        if not measured:
            raise RuntimeError(
                "No arm could be measured. Give `fit` more `epochs`; if a warning above says that "
                "the arms diverged, compile with a smaller learning rate."
            )
        winner, note, self.record.runner_up = choose(measured, self._t)
        self.record.winner = winner.name
        self.record.reason = f"{reason}; {note}" if note else reason
        log.info("chose %s: %s", winner.name, self.record.reason)

    def _t(self, first: Arm, second: Arm) -> float:
        best = [self.record.best_states[arm.name] for arm in (first, second)]
        return paired_t(*(self._snapshots.load(state)[-1] for state in best))

    def _commit(self):
        """Writes the record after all states that it names, then deletes the others."""
        if self.directory is not None:
            self.record.write(self.directory / "search.json")
        self._snapshots.keep_only({"initial"} | self.record.live_states)

"""The `AutoSample` callback: searches, chooses and trains the final model in one `fit`."""

import dataclasses
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from tf_autosample.evaluation import evaluate
from tf_autosample.interactions import Interactions
from tf_autosample.mixture import SamplerMixture
from tf_autosample.record import SearchRecord
from tf_autosample.search import Arm, RaceSearch, paired_t
from tf_autosample.snapshots import Snapshots, read_variables, write_variables

log = logging.getLogger(__name__)

# Two arms are tied when the paired t of their metrics is smaller.
TIE_T = 2.0


class AutoSample(keras.callbacks.Callback):
    """Finds the sampler that suits model and data, and leaves the trained winner in the model.

    Every arm is a point of the simplex over the samplers of `model.sampler`: the single samplers,
    and the blends you add. All start from the model's weights as `fit` finds them and see the
    same batches. Each epoch of `fit` goes to one arm; the strategy says to which, and drops arms
    that cannot win. When it is done, `fit` stops: the model holds the winner's best weights, and
    its mixture is fixed, so that a further step costs what that sampler costs.

    `logs` carry the metric (of the epoch's arm, as last measured), `arm` and `leader` (positions
    in `history["arms"]`: Keras averages log values, so they cannot be names) and `arms_alive`.

    Args:
        validation: Interactions held out of training. They choose the arm and its epoch, so
            report on others.
        strategy: What decides which arm trains. Defaults to `RaceSearch()`.
        metric: A metric of `evaluate` after "val_"; higher is better.
        blends: Further arms, each a mapping from sampler name to weight; weights sum to 1.
        max_epochs: The last epoch of any arm.
        patience: An arm stops at an epoch beyond `1.5 * best epoch + patience`.
        directory: Where `search.json` and the states go after every epoch. None keeps them in
            memory.
        resume: Go on with the search in `directory`, if there is one.

    Attributes:
        history: Every curve, every decision with its reason, the winner and why, the cost per
            arm; the content of `search.json`.

    Reference: our own reading of the abstract of Lyu et al., "Towards Automated Negative Sampling
    in Implicit Recommendation", arXiv 2311.03526.
    """

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
        name, _, cutoff = metric.removeprefix("val_").partition("@")
        if not (metric.startswith("val_") and cutoff.isdigit()):
            raise ValueError(f"`metric` must be like 'val_ndcg@20'. Received: metric={metric!r}.")
        if not len(validation):
            raise ValueError("`validation` must hold interactions. Received: none.")
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
        self._check_fit()
        self.model.optimizer.build(self.model.trainable_variables)
        self._measured = measured_epochs(self.max_epochs)
        self._loaded: str | None = None
        self._train_functions: dict = {}
        self.record = SearchRecord(self._settings(), self._all_arms())
        states = None if self.directory is None else self.directory / "states"
        self._snapshots = Snapshots(states)
        if not self._restore():
            self._snapshots.save("initial", read_variables(self._variables))
            self._decide()
            self._commit()

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()
        if self.record.winner is None:
            self._load(self.record.decisions[-1].train)
            self.model.begin_epoch(self.record.arm(self._loaded).epochs)

    def on_epoch_end(self, epoch, logs=None):
        if self.record.winner is not None:  # resumed at its end: Keras runs an epoch all the same
            self.model.stop_training = True
            return
        arm = self.record.arm(self._loaded)
        arm.epochs += 1
        arm.examples += self.model.batches.num_rows
        if arm.epochs in self._measured:
            self._measure(arm)
        out_of_patience = arm.epochs > 1.5 * arm.best_epoch + self.patience
        arm.stopped = arm.epochs >= self.max_epochs or out_of_patience
        arm.seconds += time.perf_counter() - self._started
        turn_is_over = arm.stopped or arm.epochs >= self.record.decisions[-1].until
        if turn_is_over or self.directory is not None:
            self.record.states[arm.name] = f"{arm.name}-{arm.epochs}"
            self._snapshots.save(self.record.states[arm.name], read_variables(self._variables))
        if turn_is_over:
            self._decide()
        spent = sum(one.epochs for one in self.record.arms)
        if self.record.winner is None and spent >= self.params["epochs"]:
            self._choose(f"the {spent} epochs that `fit` was given are used up")
        self._commit()
        self._write_logs(logs, arm)
        self.model.stop_training |= self.record.winner is not None

    def on_train_end(self, logs=None):
        if self.record.winner is None:
            self._choose("`fit` was stopped before the search was over")
        winner = self.record.arm(self.record.winner)
        self.model.sampler.fix(winner.weights)
        *weights, _ = self._snapshots.load(self.record.best_states[winner.name])
        write_variables(self.model.variables, weights)
        self.model.train_function = None  # the next `fit` traces the fixed mixture anew

    @property
    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

    def _check_fit(self):
        if getattr(self.model, "batches", None) is None:
            raise TypeError(
                "`AutoSample` steers the batches: call fit(training_batches(...), "
                "callbacks=[AutoSample(...)]) on a `RetrievalModel`. Received: a "
                f"{type(self.model).__name__} and other batches."
            )
        if any(isinstance(one, keras.callbacks.EarlyStopping) for one in self.model.fit_callbacks):
            raise ValueError(
                "`EarlyStopping` must be left out beside `AutoSample`: it would cut across the "
                "arms. Each arm has its own patience: AutoSample(..., patience=12)."
            )

    def _settings(self) -> dict:
        strategy = {"name": type(self.strategy).__name__, **dataclasses.asdict(self.strategy)}
        return {
            "metric": self.metric,
            "strategy": strategy,
            "max_epochs": self.max_epochs,
            "patience": self.patience,
            "samplers": self.model.sampler.names,
        }

    def _all_arms(self) -> list[Arm]:
        mixture: SamplerMixture = self.model.sampler
        corners = [{name: 1.0} for name in mixture.names]
        arms = [_arm(mixture, blend) for blend in [*corners, *self.blends]]
        for arm in arms:  # an impossible blend must fail now, not when its turn comes
            mixture.fix(arm.weights)
        return arms

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
        mine = (self.record.settings, [(arm.name, arm.weights) for arm in self.record.arms])
        theirs = (stored.settings, [(arm.name, arm.weights) for arm in stored.arms])
        if mine != theirs:
            raise ValueError(
                f"A search can only be resumed with the settings that it began with: {theirs}. "
                f"Received: {mine}."
            )
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
        result = evaluate(self.model, self.validation, seen=seen, k=self._cutoff)
        value = float(result.metrics[self._name])
        if value > arm.best:
            self.record.best_states[arm.name] = f"{arm.name}-best-{arm.epochs}"
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
        """Names the winner: the best arm, or the cheapest of those that tie with it."""
        measured = [arm for arm in self.record.arms if arm.curve]
        if not measured:
            raise RuntimeError("`fit` ended before any arm was measured: give it more `epochs`.")
        winner = max((arm for arm in measured if arm.dropped is None), key=lambda arm: arm.best)
        for arm in sorted(measured, key=lambda arm: arm.cost):
            if arm.stopped and arm.cost < winner.cost and abs(self._t(winner, arm)) < TIE_T:
                reason += f"; {arm.name} ties with {winner.name} and is cheaper"
                winner = arm
                break
        self.record.winner, self.record.reason = winner.name, reason
        others = [arm for arm in measured if arm is not winner]
        if others:
            second = max(others, key=lambda arm: arm.best)
            t = self._t(winner, second)
            tie = abs(t) < TIE_T
            self.record.runner_up = {"name": second.name, "paired_t": t, "tie": tie}
        log.info("chose %s: %s", winner.name, reason)

    def _t(self, first: Arm, second: Arm) -> float:
        best = [self.record.best_states[arm.name] for arm in (first, second)]
        return paired_t(*(self._snapshots.load(state)[-1] for state in best))

    def _commit(self):
        """Writes the record after all states that it names, then deletes the others."""
        if self.directory is not None:
            self.record.write(self.directory / "search.json")
        self._snapshots.keep_only({"initial"} | self.record.live_states)

    def _write_logs(self, logs: dict | None, arm: Arm):
        if logs is None:
            return
        arms = self.record.arms
        logs[self.metric] = arm.curve[-1][1]
        logs["arm"], logs["leader"] = arms.index(arm), arms.index(self.record.leader)
        logs["arms_alive"] = sum(one.dropped is None for one in arms)


def measured_epochs(max_epochs: int) -> set[int]:
    """The epochs at which a curve is measured: each at first, then each about 12 % later."""
    epochs, epoch = {max_epochs}, 1
    while epoch <= max_epochs:
        epochs.add(epoch)
        epoch = max(epoch + 1, round(epoch * 1.12))
    return epochs


def _arm(mixture: SamplerMixture, blend: Mapping[str, float]) -> Arm:
    unknown = set(blend) - set(mixture.names)
    if unknown:
        raise ValueError(
            f"`blends` must name samplers of the mixture, {mixture.names}. "
            f"Received: {sorted(unknown)}."
        )
    weights = tuple(float(blend.get(name, 0.0)) for name in mixture.names)
    used = [one for one, weight in zip(mixture.samplers, weights, strict=True) if weight > 0]
    is_corner = len(used) == 1
    name = used[0].name if is_corner else "+".join(f"{blend[n]:g}-{n}" for n in sorted(blend))
    return Arm(name, weights, cost=sum(one.proposal.num_columns for one in used))

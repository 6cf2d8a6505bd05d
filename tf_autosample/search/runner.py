"""Training one arm at a time in a model that all arms share."""

import logging
import time
from dataclasses import dataclass, field

import keras
import numpy as np

from tf_autosample.data.interactions import Interactions
from tf_autosample.evaluation.ranking import DivergedError, evaluate
from tf_autosample.search.contenders import Comparison, Contender, compare, measured_epochs
from tf_autosample.search.learning_step import LearningStep
from tf_autosample.search.snapshots import Snapshots, read_variables, write_variables

log = logging.getLogger(__name__)


@dataclass
class ArmRunner:
    """Swaps the arms' states in and out of a model, and measures their curves.

    Attributes:
        model: The `RetrievalModel` in a `fit`, its optimizer built.
        validation: Interactions that the arms are measured on.
        metric: For example "ndcg@20".
        max_epochs: The last epoch of any arm.
        patience: An arm stops at an epoch beyond `1.5 * best epoch + patience`.
        snapshots: Where states are kept; "initial" is that of every arm before its first epoch.
    """

    model: keras.Model
    validation: Interactions
    metric: str
    max_epochs: int
    patience: int
    snapshots: Snapshots
    _loaded: tuple | None = field(default=None, init=False)
    _learning_step: LearningStep | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)

    def __post_init__(self):
        self.model.optimizer.build(self.model.trainable_variables)
        self._compiled_l2, self._next_epoch = self.model.l2, self.model.next_epoch
        self._measured = measured_epochs(self.max_epochs)

    @property
    def variables(self) -> list:
        """Weights first, then what the optimizer keeps, its learning rate included."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def save_initial(self) -> None:
        """Saves the state that every arm starts from."""
        self.snapshots.save("initial", read_variables(self.variables))

    def begin_epoch(self, arm: Contender) -> None:
        """Puts an arm in place: weights, slots, batches, samplers, train function."""
        self._started = time.perf_counter()
        if self._loaded != (arm.name, arm.epochs):
            write_variables(self.variables, self.snapshots.load(arm.state or "initial"))
        self._set_learning_rate(arm)
        self._use(arm)
        self.model.begin_epoch(arm.epochs)

    def end_epoch(self, arm: Contender) -> None:
        """Notes an epoch of the arm that trained, measures it, and says whether it has ended."""
        arm.epochs += 1
        self._loaded = (arm.name, arm.epochs)
        arm.examples += self.model.batches.num_rows
        if arm.learns:
            arm.learned.append((arm.epochs, self.model.sampler.weights_by_name))
        if arm.epochs in self._measured:
            self._measure(arm)
        out_of_patience = arm.epochs > 1.5 * arm.best_epoch + self.patience
        arm.stopped |= arm.epochs >= self.max_epochs or out_of_patience
        arm.seconds += time.perf_counter() - self._started

    def save(self, arm: Contender) -> None:
        """Saves the state to go on from."""
        arm.state = f"last-{arm.name}-{arm.epochs}"
        self.snapshots.save(arm.state, read_variables(self.variables))

    def load_best(self, arm: Contender) -> None:
        """Leaves an arm's best weights in the model, and optimizer and epoch as found."""
        *weights, _ = self.snapshots.load(arm.best_state)
        # The slots at hand may be another arm's, which would pull the winner astray.
        optimizer = self.snapshots.load("initial")[len(weights) :]
        write_variables(self.variables, [*weights, *optimizer])
        self._set_learning_rate(arm)
        self.model.next_epoch = self._next_epoch
        self.model.train_as(weights=self._point(arm.weights), l2=self._l2_of(arm))
        self._loaded = None

    def against(self, arm: Contender, other: Contender) -> Comparison:
        """Compares the best metric of two arms over the validation users."""
        return compare(*(self.snapshots.load(one.best_state)[-1] for one in (arm, other)))

    def _use(self, arm: Contender) -> None:
        """Makes the next epoch train with the arm's weights and penalty."""
        weights = None if arm.learns else self._point(arm.weights_at(arm.epochs))
        if arm.learns and self._learning_step is None:
            settings = arm.learns, arm.rate, self.validation
            self._learning_step = LearningStep(self.model, *settings)
        step = self._learning_step if arm.learns else None
        self.model.train_as(weights=weights, l2=self._l2_of(arm), step=step)

    def _set_learning_rate(self, one: Contender) -> None:
        if one.arm.learning_rate is not None:
            self.model.optimizer.learning_rate = one.arm.learning_rate

    def _l2_of(self, one: Contender) -> float:
        return self._compiled_l2 if one.arm.l2 is None else one.arm.l2

    def _point(self, weights: dict[str, float]) -> list[float]:
        return [weights.get(name, 0.0) for name in self.model.sampler.names]

    def _measure(self, arm: Contender) -> None:
        seen, cutoff = self.model.batches.interactions, int(self.metric.split("@")[1])
        try:
            result = evaluate(self.model, self.validation, seen=seen, k=cutoff)
        except DivergedError as error:  # it has its best so far; the others go on
            log.warning("stopped %s at epoch %d: %s", arm.name, arm.epochs, error)
            arm.stopped = True
            return
        value = float(result.metrics[self.metric])
        if value > arm.best:
            arm.best_state = f"best-{arm.name}-{arm.epochs}"
            per_user = np.asarray(result.per_user[self.metric])
            self.snapshots.save(arm.best_state, [*read_variables(self.model.variables), per_user])
        arm.curve.append((arm.epochs, value))

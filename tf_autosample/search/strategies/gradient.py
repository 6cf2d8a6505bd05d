"""The strategy nearest to the paper's abstract: learn the weights by gradient."""

from collections.abc import Sequence
from dataclasses import dataclass

from tf_autosample.data.checks import at_least, number
from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import Contender
from tf_autosample.search.strategies.base import Decision, Strategy

CRITERIA = ("loss", "alignment", "maximin")


@dataclass(frozen=True)
class GradientSearch(Strategy):
    """Trains the mixture with learnable weights, then the heaviest sampler from scratch.

    Arms of the user's own train beside that one, to their ends.

    Not the default: on the training loss the weights run to the easiest sampler, by alignment
    they mostly do too, and maximin takes the hardest whatever the data are (docs/search.md). It
    is here so that anyone can repeat the comparison.

    Args:
        criterion: What the weights follow in each step. "loss" lowers the training loss;
            "maximin" raises it, against the model; "alignment" lowers the loss of a validation
            batch as it will be after the step, to first order (the gradient through one step of
            plain gradient descent).
        epochs: Epochs of the mixture.
        rate: Length of a step on the logits of the weights.

    Reference: our own reading of the abstract of Lyu et al., "Towards Automated Negative Sampling
    in Implicit Recommendation", arXiv 2311.03526; alignment after Liu et al., "DARTS", ICLR 2019.
    """

    criterion: str = "loss"
    epochs: int = 10
    rate: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        if self.criterion not in CRITERIA:
            raise ValueError(
                f"`criterion` must be one of {', '.join(CRITERIA)}. "
                f"Received: criterion={self.criterion!r}."
            )
        self._keep(epochs=at_least(1, epochs=self.epochs), rate=number(above=0, rate=self.rate))

    def first_arms(self, arms: Sequence[Contender]) -> list[Contender]:
        """Returns the mixture of all single samplers in their place, and the user's own arms."""
        corners = [one for one in arms if one.arm.is_corner]
        share = 1 / len(corners)
        weights = {name: share for one in corners for name in one.weights}
        cost = sum(one.cost for one in corners)
        name = "mixture"
        while name in {one.name for one in arms}:
            name = f"learned {name}"
        arm = Arm(weights, name=name)
        mixture = Contender(arm, cost, learns=self.criterion, rate=self.rate)
        return [mixture, *(one for one in arms if not one.arm.is_corner)]

    def decide(self, arms: Sequence[Contender], max_epochs: int) -> Decision:
        mixture, *others = arms
        running = tuple(arm.name for arm in others if not arm.stopped)
        until = min(self.epochs, max_epochs)
        if mixture.dropped:
            if not running:
                return Decision(reason="the heaviest sampler and all other arms have ended")
            return Decision(train=running, until=max_epochs, reason="they train on")
        if mixture.epochs < until and not mixture.stopped:
            reason = f"the weights learn by {self.criterion} until epoch {until}"
            return Decision(train=(mixture.name,), until=until, reason=reason)
        heaviest = max(mixture.weights, key=mixture.weights.get)
        share = mixture.weights[heaviest]
        reason = f"{heaviest} has the largest weight, {share:.3f}; it trains from scratch"
        return Decision(
            {mixture.name: f"its weights are learned: {heaviest} {share:.3f}"},
            (heaviest, *running),
            max_epochs,
            reason,
            (Arm({heaviest: 1.0}),),
        )

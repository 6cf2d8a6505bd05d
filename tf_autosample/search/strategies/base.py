"""What a strategy is asked and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tf_autosample.data.checks import number
from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import Contender


@dataclass(frozen=True)
class Decision:
    """What to do next.

    Attributes:
        drops: Reason by name of each arm to give up.
        train: Names of the arms to train next, which may be done side by side. None are left when
            the search is over.
        until: Epoch up to which they train, unless they stop before.
        reason: Why, in plain words.
        enter: New arms. They may be among those to train.
    """

    drops: dict[str, str] = field(default_factory=dict)
    train: tuple[str, ...] = ()
    until: int = 0
    reason: str = ""
    enter: tuple[Arm, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """Decides from curves alone; a frozen dataclass, so that its settings can be recorded.

    Args:
        sample_users: Fraction of the users to search on; the winner then trains on all of them.
            Defaults to all, or a quarter where there are more than 5,000,000 interactions. A
            model that is built from the users' histories, such as `LightGCN`, needs them all.
    """

    sample_users: float | None = None

    def __post_init__(self):
        if self.sample_users is not None:
            self._keep(sample_users=number(above=0, most=1, sample_users=self.sample_users))

    def _keep(self, **checked) -> None:
        """Puts checked values in the place of what was given, as plain Python numbers."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def first_arms(self, arms: Sequence[Contender]) -> list[Contender]:
        """Returns the arms to begin with: the corners and the user's own, unless overridden."""
        return list(arms)

    def decide(self, arms: Sequence[Contender], max_epochs: int) -> Decision:
        """Returns the next decision, once all arms of the one before have trained.

        Args:
            arms: All arms, in a fixed order.
            max_epochs: The last epoch of any arm.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `decide`.")

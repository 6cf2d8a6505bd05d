"""Ladders: which arms of a kind wait, and which enter beside the best of their kind."""

from collections.abc import Container, Iterator, Sequence

from tf_autosample.search.contenders import Contender


def waiting(arms: Sequence[Contender]) -> set[str]:
    """Names of the arms of a ladder whose turn has not come."""
    names = set()
    for ladder in _ladders(arms):
        if len(ladder) > 2:
            middle = ladder[len(ladder) // 2]
            names |= {arm.name for arm in ladder if arm is not middle and not arm.epochs}
    return names


def newcomers(
    arms: Sequence[Contender], drops: Container[str], waiting: Container[str]
) -> tuple[str, ...]:
    """The waiting arms beside the best of their ladder, unless that one is dropped.

    Args:
        arms: All arms.
        drops: Names of the arms about to be dropped.
        waiting: Names of the arms that have not had their turn.
    """
    names = []
    for ladder in _ladders(arms):
        best = max(ladder, key=lambda arm: arm.best)
        place = ladder.index(best)
        beside = ladder[max(place - 1, 0) : place + 2]
        if best.curve and best.dropped is None and best.name not in drops:
            names += [arm.name for arm in beside if arm.name in waiting and not arm.dropped]
    return tuple(names)


def _ladders(arms: Sequence[Contender]) -> Iterator[list[Contender]]:
    """The arms of each ladder, from mild to hard."""
    for name in dict.fromkeys(arm.ladder[0] for arm in arms if arm.ladder):
        rungs = [arm for arm in arms if arm.ladder and arm.ladder[0] == name]
        yield sorted(rungs, key=lambda arm: arm.ladder[1])

"""A search in plain sentences, each made by a rule from what its record holds."""

from tf_autosample.report.arms import in_words, interval, seconds
from tf_autosample.search.contenders import Comparison, Contender
from tf_autosample.search.record import SearchRecord

OVERFITTED = 0.1  # a fall from the best by this fraction is worth a sentence
ENDED_EARLY = "The search ended before the winner had trained to its end"


def search_sentences(record: SearchRecord) -> list[str]:
    """Says who won, how surely, what over-fitted and what it cost; leaves out what is unknown.

    Args:
        record: `AutoSample.record`, or what `SearchRecord.read` finds in `search.json`.
    """
    if record.winner is None:
        return [_leader(record), _cost(record)]
    winner = record.arm(record.winner)
    sentences = [
        _winner(record, winner),
        None if winner.stopped else f"{ENDED_EARLY}: {record.reason}.",
        *_better_but_not_chosen(record, winner),
        _rivals(record, winner),
        _overfitting(record, winner),
        _cost(record),
    ]
    return [sentence for sentence in sentences if sentence]


def sample_sentence(record: SearchRecord) -> str | None:
    """Says on how much of the data the race was held, None if on all of it."""
    race = record.subsample
    if race is None:
        return None
    few, all_ = (_interactions(one) for one in (race, record))
    if not (few and all_):
        return "The race was held on a sample of the users; the winner then trained on all of them."
    return (
        f"The race was held on a sample of the users with {few:,} of the {all_:,} training "
        f"interactions ({few / all_:.0%}); the winner then trained on all of them."
    )


def _leader(record: SearchRecord) -> str:
    best = max(record.measured, key=lambda arm: arm.best)
    return (
        f"The search is not over. {best.name} leads with {record.settings['metric']} "
        f"{best.best:.4f} at epoch {best.best_epoch}."
    )


def _winner(record: SearchRecord, winner: Contender) -> str:
    words = in_words(winner.name)
    name = winner.name if words == winner.name else f"{words} ({winner.name})"
    found = f"{record.settings['metric']} {winner.best:.4f} at epoch {winner.best_epoch}"
    if len(record.measured) == 1:
        return f"{name} was trained alone: {found}."
    return f"{name} won: {found}."


def _better_but_not_chosen(record: SearchRecord, winner: Contender) -> list[str]:
    """Arms with a better metric than the winner's: all of them were dropped."""
    sentences = []
    for arm in record.measured:
        if arm.best <= winner.best:
            continue
        comparison = record.comparisons.get(arm.name)
        noise = " (within noise)" if comparison and comparison.is_tie else ""
        sentences.append(
            f"{arm.name} had reached more, {arm.best:.4f}{noise}, before it was dropped."
        )
    return sentences


def _rivals(record: SearchRecord, winner: Contender) -> str | None:
    """The arms that tie with the winner; if there are none, the best of the others."""
    others = [arm for arm in record.measured if arm.name in record.comparisons]
    below = sorted((arm for arm in others if arm.best <= winner.best), key=lambda arm: -arm.best)
    found = {arm.name: record.comparisons[arm.name] for arm in below}
    ties = [arm for arm in below if found[arm.name].is_tie]
    if ties:
        named = [_tied(arm, found[arm.name]) for arm in ties]
        verb = "is" if len(ties) == 1 else "are"
        return f"{_listed(named)} {verb} within noise of it."
    if not below or len(below) < len(others):
        return None
    second, comparison = below[0], found[below[0].name]
    known = ""
    if interval(comparison):
        known = f" (95 % interval {-comparison.high:.4f} to {-comparison.low:.4f})"
    return f"Next comes {_name(second)} at {-comparison.difference:.4f} below it{known}."


def _tied(arm: Contender, comparison: Comparison) -> str:
    dropped = f"dropped at epoch {arm.epochs}, " if arm.dropped else ""
    return f"{arm.name} ({dropped}t = {abs(comparison.t):.1f})"


def _name(arm: Contender) -> str:
    return f"{arm.name} (dropped at epoch {arm.epochs})" if arm.dropped else arm.name


def _overfitting(record: SearchRecord, winner: Contender) -> str | None:
    """The arms beside the winner whose curve fell from its best."""
    fallen = {}
    for arm in record.measured:
        fall = 1 - arm.curve[-1][1] / arm.best if arm.best > 0 else 0
        if arm is not winner and fall >= OVERFITTED:
            fallen[arm.name] = (arm, fall)
    if not fallen:
        return None
    harder = all(_is_harder(arm, winner) for arm, _ in fallen.values())
    named = [
        f"{name} peaked at epoch {arm.best_epoch} and fell by {fall:.0%} after"
        for name, (arm, fall) in fallen.items()
    ]
    return f"{'Harder samplers' if harder else 'Some arms'} over-fitted: {'; '.join(named)}."


def _is_harder(arm: Contender, other: Contender) -> bool:
    """Whether `arm` stands higher on the same ladder, or else is the more selective of the two."""
    own, its = arm.ladder, other.ladder
    if own and its and own[0] == its[0]:
        return own[1] > its[1]
    return arm.selectivity > other.selectivity


def _cost(record: SearchRecord) -> str:
    arms = record.arms
    spent = f"{record.epochs} epochs in {seconds(sum(arm.seconds for arm in arms))} seconds"
    if len(arms) == 1:
        return f"It trained {spent}."
    full = _full_cost(record)
    if full is None:
        return f"The search trained {spent}."
    if all(arm.dropped is None for arm in arms):
        return f"The search trained {spent}, every arm to its end."
    return (
        f"The search trained {spent}, {record.epochs / full:.2f} of what training every arm to its "
        "end would take (estimated: dropped arms are counted to the winner's epochs)."
    )


def _full_cost(record: SearchRecord) -> int | None:
    """Epochs of all first arms to their ends, None where there is no saying.

    That is so if the search ended too soon or learned the weights of one arm for all.
    """
    arms = [arm for arm in record.arms if not arm.is_extra]
    is_whole = all(arm.stopped or arm.dropped for arm in arms)
    if record.winner is None or not is_whole or any(arm.learned for arm in arms):
        return None
    winner = record.arm(record.winner)
    full = [max(arm.epochs, winner.epochs if arm.dropped else 0) for arm in arms]
    return sum(full)


def _interactions(record: SearchRecord) -> int | None:
    """Positives of an epoch."""
    arm = next((arm for arm in record.arms if arm.epochs), None)
    return arm and arm.examples // arm.epochs


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)

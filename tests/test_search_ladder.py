import pytest
from played_search import RACE, contender, cost, logarithmic, play, turns, winner


def climb(slopes, *, max_epochs=30, others=(), **options):
    """Plays a race over one ladder, from mild to hard, and over other arms."""
    slopes = dict(slopes)
    ladder = [
        contender({name: 1.0}, ladder=("kind", float(level)))
        for level, name in enumerate(slopes)
        if name not in others
    ]
    arms = [*ladder, *(contender({name: 1.0}) for name in others)]
    curves = {name: logarithmic(slope) for name, slope in slopes.items()}
    return play(curves, RACE, max_epochs=max_epochs, arms=arms, **options)


def test_ladder_is_walked_from_the_middle_towards_the_better_side():
    # By the table in played_search, "d" is dropped at rung 14 and the others would stay.
    slopes = {"a": 0.95, "b": 1.0, "c": 0.97, "d": 0.75, "e": 0.99}
    arms, decisions = climb(slopes)
    assert turns(decisions) == [
        (("c",), 6),
        (("b", "d"), 6),  # beside "c", the best so far
        (("a",), 6),  # beside "b"; "d" is behind "c", so "e" never runs, though it is good
        (("a", "b", "c", "d"), 9),
        (("a", "b", "c", "d"), 14),
        (("a", "b", "c"), 21),
        (("a", "b", "c"), 30),
    ]
    assert decisions[1].reason == "beside the best of their ladder; they catch up to epoch 6"
    assert cost(arms) == {"a": 30, "b": 30, "c": 30, "d": 14, "e": 0}
    assert decisions[-1].drops == {"e": "not run: its neighbours on the ladder were not the best"}
    assert winner(arms) == "b"


@pytest.mark.parametrize("best", ["a", "e"])
def test_best_level_is_found_at_an_end_of_the_ladder(best):
    slopes = {name: 1 - 0.04 * abs(ord(name) - ord(best)) for name in "abcde"}
    arms, _ = climb(slopes)
    assert winner(arms) == best
    far = {"a": "e", "e": "a"}[best]
    assert cost(arms)[far] == 0 and cost(arms)[best] == 30


def test_middle_of_four_levels_is_the_harder_one():
    _, decisions = climb({"a": 0.8, "b": 0.9, "c": 1.0, "d": 0.9})
    assert turns(decisions)[:2] == [(("c",), 6), (("b", "d"), 6)]


def test_level_that_becomes_the_best_later_brings_in_its_neighbour():
    # "b" passes "c" between the rungs 6 and 9; only then is "a" of interest.
    curves = {
        "a": logarithmic(1.0),
        "b": logarithmic(1.2, -0.4),
        "c": logarithmic(1.0),
        "d": logarithmic(0.5),
        "e": logarithmic(0.5),
    }
    arms = [
        contender({name: 1.0}, ladder=("kind", float(level))) for level, name in enumerate("abcde")
    ]
    arms, decisions = play(curves, RACE, max_epochs=20, arms=arms)
    assert turns(decisions)[:4] == [
        (("c",), 6),
        (("b", "d"), 6),
        (("b", "c"), 9),
        (("a",), 9),
    ]
    assert cost(arms) == {"a": 20, "b": 20, "c": 20, "d": 6, "e": 0}


def test_two_levels_are_both_run():
    arms, decisions = climb({"a": 1.0, "b": 0.95}, max_epochs=6)
    assert turns(decisions) == [(("a", "b"), 6)]


def test_ladder_whose_middle_is_dropped_is_left():
    arms, _ = climb({"a": 1.0, "b": 0.5, "c": 0.9, "x": 1.0}, others=("x",))
    assert cost(arms) == {"a": 0, "b": 6, "c": 0, "x": 30}
    assert winner(arms) == "x"


def test_ladder_is_walked_though_all_arms_stop_before_the_first_rung():
    arms, decisions = climb({"a": 0.8, "b": 1.0, "c": 0.9, "d": 0.5, "e": 0.5}, max_epochs=3)
    assert turns(decisions) == [(("c",), 3), (("b", "d"), 3), (("a",), 3)]
    assert winner(arms) == "b"


def test_each_ladder_is_walked_by_itself():
    slopes = {"a1": 0.9, "a2": 1.0, "a3": 0.9, "b1": 0.98, "b2": 0.96, "b3": 0.5}
    arms = [contender({name: 1.0}, ladder=(name[0], float(name[1]))) for name in reversed(slopes)]
    curves = {name: logarithmic(slope) for name, slope in slopes.items()}
    arms, decisions = play(curves, RACE, max_epochs=6, arms=arms)
    assert [set(names) for names, _ in turns(decisions)] == [
        {"a2", "b2"},
        {"a1", "a3", "b1", "b3"},
    ]
    assert winner(arms) == "a2"

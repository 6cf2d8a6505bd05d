import pytest
from played_search import contender

from tf_autosample.search.arms import Arm
from tf_autosample.search.strategies import Decision, GradientSearch


def corners():
    return [contender({"a": 1.0}, cost=1), contender({"b": 1.0}, cost=8)]


def test_search_begins_with_the_even_mixture_of_the_single_samplers_and_the_users_own_arms():
    others = [contender({"a": 0.5, "b": 0.5}), contender({"a": 1.0}, l2=0.1)]
    mixture, *own = GradientSearch("maximin", rate=0.1).first_arms([*corners(), *others])
    assert own == others
    assert (mixture.name, mixture.weights) == ("mixture", {"a": 0.5, "b": 0.5})
    assert (mixture.learns, mixture.rate, mixture.cost) == ("maximin", 0.1, 9)


def mixture(weights, **state):
    return contender(weights, name="mixture", learns="loss", **state)


def test_mixture_trains_and_then_the_heaviest_sampler_from_scratch():
    strategy = GradientSearch(epochs=4)
    decision = strategy.decide([mixture({"a": 0.5, "b": 0.5})], 50)
    assert (decision.train, decision.until) == (("mixture",), 4)
    learned = mixture({"a": 0.25, "b": 0.75}, epochs=4)
    decision = strategy.decide([learned], 50)
    assert decision == Decision(
        {"mixture": "its weights are learned: b 0.750"},
        ("b",),
        50,
        "b has the largest weight, 0.750; it trains from scratch",
        (Arm({"b": 1.0}),),
    )
    learned.dropped = "its weights are learned: b 0.750"
    heaviest = contender({"b": 1.0}, epochs=50, stopped=True)
    assert strategy.decide([learned, heaviest], 50).train == ()


def test_the_users_own_arms_train_beside_the_heaviest_sampler_to_their_ends():
    strategy, own = GradientSearch(epochs=4), contender({"a": 1.0}, l2=0.1)
    assert strategy.decide([mixture({"a": 1.0}), own], 50).train == ("mixture",)
    learned = mixture({"a": 0.4, "b": 0.6}, epochs=4)
    decision = strategy.decide([learned, own], 50)
    assert (decision.train, decision.until) == (("b", "a l2=0.1"), 50)
    learned.dropped = "learned"
    ended = contender({"b": 1.0}, epochs=9, stopped=True)
    assert strategy.decide([learned, own, ended], 50).train == ("a l2=0.1",)
    own.stopped = True
    assert strategy.decide([learned, own, ended], 50).train == ()


def test_the_mixture_takes_no_name_that_an_arm_has():
    arms = [
        contender({"mixture": 1.0}),
        contender({"b": 1.0}),
        contender({"b": 1.0}, name="learned mixture"),
    ]
    names = [arm.name for arm in GradientSearch().first_arms(arms)]
    assert names == ["learned learned mixture", "learned mixture"]


@pytest.mark.parametrize("state", [{"epochs": 3}, {"epochs": 1, "stopped": True}])
def test_mixture_learns_no_longer_than_max_epochs_or_until_it_stops(state):
    decision = GradientSearch(epochs=10).decide([mixture({"a": 1.0}, **state)], 3)
    assert (decision.train, decision.until) == (("a",), 3)


@pytest.mark.parametrize("bad", [{"criterion": "luck"}, {"epochs": 0}, {"rate": 0.0}])
def test_settings_that_cannot_work_are_refused(bad):
    expected = f"`{next(iter(bad))}` must be (one of loss, alignment, maximin|>)"
    with pytest.raises(ValueError, match=expected):
        GradientSearch(**bad)

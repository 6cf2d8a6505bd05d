import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from small_search import (
    NUM_ITEMS,
    NUM_USERS,
    TRAIN,
    VALIDATION,
    build_batches,
    build_model,
    build_search,
    run,
    tables,
)

from tf_autosample import (
    ExhaustiveSearch,
    GradientSearch,
    HalvingSearch,
    Interactions,
    LightGCN,
    RaceSearch,
    SamplerMixture,
    UniformSampler,
    training_batches,
)
from tf_autosample.search import subsample

RACE = RaceSearch(first_rung=2, sample_users=0.5)


def search_on_half(**options):
    return build_search(**{"strategy": RACE, "max_epochs": 3} | options)


@pytest.fixture(scope="module")
def searched():
    model, search = build_model(), search_on_half()
    run(model, search)
    return model, search


def chosen_users():
    """As documented: a fraction of the users, by a permutation of the batches' seed."""
    return np.random.default_rng([3, 1]).permutation(NUM_USERS)[: NUM_USERS // 2]


def of_users(interactions, users):
    kept = np.isin(interactions.users, users)
    return Interactions(interactions.users[kept], interactions.items[kept], NUM_USERS, NUM_ITEMS)


def test_race_is_held_on_the_users_of_the_sample_alone(searched):
    _, search = searched
    few = of_users(TRAIN, chosen_users())
    model = build_model()
    alone = build_search(strategy=replace(RACE, sample_users=1.0), max_epochs=3)
    alone.validation = of_users(VALIDATION, chosen_users())
    batches = training_batches(few, 500, model.sampler.proposal, seed=3)
    assert batches.steps_per_epoch == build_batches(model).steps_per_epoch == 3
    run(model, alone, batches=batches)
    found, expected = search.history["subsample"], alone.history
    for one in [*found["arms"], *expected["arms"]]:
        del one["seconds"]
    assert found == expected
    assert all(arm["examples"] == arm["epochs"] * len(few) for arm in found["arms"])


def test_winner_then_trains_on_all_users_from_the_initial_weights(searched):
    model, search = searched
    (arm,) = search.history["arms"]
    assert arm["name"] == search.winner == search.history["subsample"]["winner"]
    assert (arm["epochs"], arm["examples"]) == (3, 3 * len(TRAIN))
    alone = build_model()
    alone.sampler.fix([float(name == search.winner) for name in alone.sampler.names])
    alone.fit(build_batches(alone), epochs=arm["best_epoch"], verbose=0)
    for one, other in zip(tables(model), tables(alone), strict=True):
        np.testing.assert_array_equal(one, other)


def test_logs_and_epochs_of_fit_are_those_of_the_final_run():
    model, search = build_model(eager=True), search_on_half(max_epochs=2)
    history = run(model, search, epochs=2)
    assert len(history.history["loss"]) == 2
    assert [arm["epochs"] for arm in search.history["arms"]] == [2]
    assert len(search.history["subsample"]["arms"]) == 3


def test_search_on_everyone_has_no_sample():
    search = build_search(strategy=RaceSearch(sample_users=1.0), max_epochs=1)
    run(build_model(eager=True), search)
    assert search.history["subsample"] is None


def test_large_data_are_sampled_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(subsample, "LARGE", len(TRAIN) - 1)
    shares = {}
    for asked in (None, 1.0):
        search = build_search(strategy=RaceSearch(sample_users=asked), max_epochs=1)
        run(build_model(eager=True), search)
        found = search.history["subsample"]
        shares[asked] = found and found["arms"][0]["examples"] / len(TRAIN)
    assert shares == {None: pytest.approx(0.25, abs=0.03), 1.0: None}


def test_graph_models_search_on_all_users():
    model = LightGCN(TRAIN, SamplerMixture([UniformSampler()]), dim=4, num_layers=1)
    model.compile("adam", run_eagerly=True)
    search = search_on_half(max_epochs=1)
    run(model, search)
    assert search.history["subsample"] is None
    assert search.history["arms"][0]["examples"] == len(TRAIN)


def test_sampler_that_a_gradient_search_found_on_the_sample_trains_once_on_all():
    model, search = (
        build_model(eager=True),
        search_on_half(strategy=GradientSearch(epochs=1, sample_users=0.5)),
    )
    search.max_epochs = 2
    run(model, search)
    names = [arm["name"] for arm in search.history["subsample"]["arms"]]
    assert names == ["mixture", search.winner]
    assert [(arm["name"], arm["epochs"]) for arm in search.history["arms"]] == [(search.winner, 2)]


def test_extra_arm_that_won_on_the_sample_trains_on_all():
    model = build_model(eager=True)
    search = search_on_half(strategy=replace(RACE, first_rung=1, blend=True), max_epochs=2)
    run(model, search)
    (arm,) = search.record.arms
    assert arm.name == search.winner == search.history["subsample"]["winner"]
    assert arm.epochs == 2


@pytest.mark.parametrize("fraction", [0.0, 1.5, float("nan")])
@pytest.mark.parametrize("kind", [RaceSearch, ExhaustiveSearch, HalvingSearch, GradientSearch])
def test_sample_that_is_no_fraction_is_refused(kind, fraction):
    with pytest.raises(ValueError, match="`sample_users` must be .*> 0 and <= 1"):
        kind(sample_users=fraction)


def test_fast_race_is_held_on_a_quarter_of_the_users():
    search = build_search(strategy=RaceSearch.fast(), max_epochs=1)
    run(build_model(eager=True), search)
    examples = search.history["subsample"]["arms"][0]["examples"]
    assert examples / len(TRAIN) == pytest.approx(0.25, abs=0.03)


def test_sample_without_validation_is_refused():
    first = VALIDATION.users[0]
    only = of_users(VALIDATION, [first])
    search = search_on_half(strategy=RaceSearch(sample_users=0.01))  # two of 200 users
    search.validation = only
    with pytest.raises(ValueError, match="`sample_users` must leave users with validation"):
        run(build_model(eager=True), search)


def test_both_records_are_kept_in_the_directory(tmp_path):
    search = search_on_half(directory=tmp_path, max_epochs=2)
    run(build_model(eager=True), search)
    whole = json.loads((tmp_path / "search.json").read_text())
    sampled = json.loads((tmp_path / "sample" / "search.json").read_text())
    assert whole["subsample"] == sampled
    assert whole["winner"] == sampled["winner"]


def test_callback_that_cuts_across_the_arms_is_refused_before_the_sampled_race():
    model, search = build_model(), search_on_half(max_epochs=2)
    with pytest.raises(ValueError, match="`EarlyStopping` must be left out"):
        run(model, search, callbacks=[keras.callbacks.EarlyStopping()])
    assert model.batches is None  # no race has begun

"""Searches that cannot end well say so in a sentence, whatever strategy asks."""

import keras
import numpy as np
import pytest
import test_cli
from small_search import TRAIN, VALIDATION, build_batches, build_model, run

from tf_autosample import (
    AutoSample,
    DynamicSampler,
    EmbeddingTable,
    ExhaustiveSearch,
    GradientSearch,
    HalvingSearch,
    LazyAdam,
    RaceSearch,
    TwoTower,
    UniformSampler,
)
from tf_autosample.search.learning_step import LearningStep

STRATEGIES = {
    "race": RaceSearch(),
    "fast race": RaceSearch.fast(),
    "race with challengers": RaceSearch(blend=True, rewind=True),
    "halving": HalvingSearch(),
    "exhaustive": ExhaustiveSearch(),
    "gradient": GradientSearch(epochs=2),
}


@pytest.mark.parametrize("samplers", [[UniformSampler], [UniformSampler, DynamicSampler]])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_arms_that_all_diverge_are_told_a_smaller_learning_rate(strategy, samplers):
    model = build_model([one() for one in samplers])
    model.compile(LazyAdam(1e20))
    with pytest.raises(ValueError, match=r"No arm could be measured.* smaller learning rate"):
        run(model, AutoSample(VALIDATION, strategy, max_epochs=4))


def test_two_searches_in_one_fit_are_refused():
    model = build_model()
    searches = [AutoSample(VALIDATION), AutoSample(VALIDATION)]
    with pytest.raises(ValueError, match="must hold one `AutoSample`"):
        model.fit(build_batches(model), callbacks=searches)


@pytest.mark.parametrize("validation", [np.zeros((3, 2), int), "validation.csv", None])
def test_validation_that_is_no_interactions_is_refused(validation):
    with pytest.raises(TypeError, match="`validation` must be `Interactions`. Received: a "):
        AutoSample(validation)


@pytest.mark.parametrize("strategy", [RaceSearch, "fast"])
def test_strategy_that_is_none_is_refused(strategy):
    with pytest.raises(TypeError, match=r"`strategy` must be .* such as `RaceSearch\(\)`"):
        AutoSample(VALIDATION, strategy)


def test_arms_that_are_none_are_refused():
    with pytest.raises(TypeError, match=r"`arms` must be a list of `Arm`"):
        AutoSample(VALIDATION, arms=["dns8"])


HEARD = []


class NoticesTraining(keras.layers.Layer):
    """Notes the flag `training` that it is called with."""

    def call(self, inputs, training=None):
        HEARD.append(training)
        return inputs


# The loss of "alignment" on validation pairs is taken as the model is when it serves.
@pytest.mark.parametrize(
    ("criterion", "flags"), [("loss", {True}), ("maximin", {True}), ("alignment", {True, False})]
)
def test_two_towers_train_as_such_while_the_weights_of_the_samplers_learn(criterion, flags):
    def tower(rows):
        ids = keras.Input((), dtype="int32", name="id")
        emb = EmbeddingTable(rows, 4)(ids)
        return keras.Model({"id": ids}, NoticesTraining()(emb))

    sizes = TRAIN.num_users, TRAIN.num_items
    features = [{"id": np.arange(size)} for size in sizes]
    model = TwoTower(*features, *map(tower, sizes), [UniformSampler(), DynamicSampler(4)])
    model.compile(keras.optimizers.Adam(0.01))
    model.batches = build_batches(model)
    model.adapt(TRAIN)
    HEARD.clear()
    LearningStep(model, criterion, 0.1, VALIDATION)(next(iter(model.batches)))
    assert set(HEARD) == flags
    assert HEARD[0] is True


def test_command_line_exits_with_2_where_all_samplers_diverge(tmp_path, capsys):
    data = test_cli.write_block_data(tmp_path / "train.csv")
    options = [*test_cli.SEARCH, "--learning-rate", "1e20", "--max-epochs", 2]
    code = test_cli.run("train", "--train", data, "--out", tmp_path / "run", *options)
    shown = capsys.readouterr().err
    assert code == 2
    assert "autosample: No arm could be measured." in shown and "Traceback" not in shown

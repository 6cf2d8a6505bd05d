"""The directions in which the weights of the samplers learn, against finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_search import NUM_ITEMS, NUM_USERS, TRAIN, VALIDATION, build_batches, build_search, run
from small_search import build_model as build_search_model

from tf_autosample import (
    DynamicSampler,
    GradientSearch,
    LightGCN,
    MatrixFactorization,
    PopularitySampler,
    SamplerMixture,
    UniformSampler,
)
from tf_autosample.batches.proposals import ComplementSampler
from tf_autosample.search.learning_step import LearningStep

LOGITS = np.array([0.3, -0.2, 0.5], np.float32)
RATE, NUDGE, STEP = 0.125, 0.02, 0.01


def mixture():
    return SamplerMixture([UniformSampler(), DynamicSampler(8), PopularitySampler(0.75)])


def factorization():
    return MatrixFactorization(NUM_USERS, NUM_ITEMS, mixture(), dim=4, seed=1, l2=0.01)


def graph():
    return LightGCN(TRAIN, mixture(), dim=4, num_layers=2, seed=1, l2=0.01)


def prepared(build):
    """A model with logits and tables that matter, and one of its batches."""
    model = build()
    model.compile(keras.optimizers.SGD(0.1))
    model.batches = build_batches(model)
    model.adapt(TRAIN)
    rng = np.random.default_rng(0)
    for table in (model.users, model.items):
        table.embeddings.assign(rng.normal(0, 0.5, table.embeddings.shape))
    model.sampler.logits.assign(LOGITS)
    return model, next(iter(model.batches.dataset))


def moved(model, batch, criterion):
    """The move of the logits in one step, in units of the step's length."""
    LearningStep(model, criterion, RATE, VALIDATION)(batch)
    return (model.sampler.logits.numpy() - LOGITS) / RATE


def slopes(model, measure):
    """Central differences of a measure in each of the logits."""
    found = []
    for nudge in NUDGE * np.eye(len(LOGITS), dtype=np.float32):
        above, below = (
            measure(model.sampler.logits.assign(LOGITS + sign * nudge)) for sign in (1, -1)
        )
        found.append((above - below) / (2 * NUDGE))
    model.sampler.logits.assign(LOGITS)
    return np.array(found)


def training_gradient(model, batch):
    """The training loss' gradient in the two tables, float64."""
    variables = [model.users.embeddings, model.items.embeddings]
    with tf.GradientTape() as tape:
        loss = model.batch_loss(batch)
    return [
        tf.convert_to_tensor(one).numpy().astype(np.float64)
        for one in tape.gradient(loss, variables)
    ]


def propagated(users, items):
    """LightGCN's two layers with a dense matrix: a slow reference."""
    links = np.zeros((NUM_USERS, NUM_ITEMS))
    links[TRAIN.users, TRAIN.items] = 1
    scale = np.sqrt(np.outer(np.maximum(links.sum(1), 1), np.maximum(links.sum(0), 1)))
    links /= scale
    layers = [(users, items)]
    for _ in range(2):
        users, items = layers[-1]
        layers.append((links @ items, links.T @ users))
    return [np.mean(side, axis=0) for side in zip(*layers, strict=True)]


def validation_loss(users, items, triples):
    chosen, positives, negatives = triples
    gaps = np.sum(users[chosen] * (items[positives] - items[negatives]), axis=1)
    return np.logaddexp(0, -gaps).mean()


def validation_triples(batch):
    """The very pairs and uniform negatives that the step looks at."""
    seed = batch["seeds"][0]
    shape = tf.shape(batch["users"])
    rows = tf.random.stateless_uniform(shape, seed, maxval=len(VALIDATION), dtype=tf.int32).numpy()
    users, items = VALIDATION.users[rows], VALIDATION.items[rows]
    drawn = ComplementSampler(TRAIN, 0.0).draw(tf.constant(users), 1, tf.cast(seed, tf.int64))
    return users, items, drawn.numpy()[:, 0]


@pytest.mark.parametrize(
    ("build", "vectors"),
    [(factorization, lambda users, items: (users, items)), (graph, propagated)],
    ids=["mf", "light-gcn"],
)
def test_alignment_lowers_the_validation_loss_after_a_plain_gradient_step(build, vectors):
    model, batch = prepared(build)
    tables = [one.embeddings.numpy().astype(np.float64) for one in (model.users, model.items)]
    triples = validation_triples(batch)

    def loss_after_step(_):
        step = training_gradient(model, batch)
        stepped = [table - STEP * one for table, one in zip(tables, step, strict=True)]
        return validation_loss(*vectors(*stepped), triples)

    slope = slopes(model, loss_after_step)
    expected = -slope / np.linalg.norm(slope)
    np.testing.assert_allclose(moved(model, batch, "alignment"), expected, atol=5e-3)


@pytest.mark.parametrize(("criterion", "sign"), [("loss", -1.0), ("maximin", 1.0)])
def test_loss_goes_down_the_training_loss_and_maximin_up(criterion, sign):
    model, batch = prepared(factorization)
    slope = slopes(model, lambda _: float(model.batch_loss(batch)))
    expected = sign * slope / np.linalg.norm(slope)
    np.testing.assert_allclose(moved(model, batch, criterion), expected, atol=5e-3)


def test_tables_are_trained_as_with_the_weights_of_before_the_step():
    model, batch = prepared(factorization)
    before = [one.embeddings.numpy() for one in (model.users, model.items)]
    gradient = training_gradient(model, batch)
    moved(model, batch, "alignment")
    for table, old, one in zip((model.users, model.items), before, gradient, strict=True):
        np.testing.assert_allclose(table.embeddings, old - 0.1 * one, atol=1e-6)


@pytest.fixture(scope="module", params=["loss", "alignment", "maximin"])
def searched(request):
    model = build_search_model(eager=True)
    search = build_search(strategy=GradientSearch(request.param, epochs=2), max_epochs=3)
    run(model, search)
    return model, search


def test_search_by_gradient_ends_with_the_heaviest_sampler_trained_from_scratch(searched):
    model, search = searched
    mixture, heaviest = search.record.arms
    assert [epoch for epoch, _ in mixture.learned] == [1, 2]
    first, last = (weights for _, weights in mixture.learned)
    assert first != last == mixture.weights
    assert sum(last.values()) == pytest.approx(1, abs=1e-6)
    assert heaviest.name == max(last, key=last.get) == search.winner
    assert (mixture.epochs, heaviest.epochs, heaviest.is_extra) == (2, 3, True)
    costs = {one.name: one.traits.cost for one in model.sampler.samplers}
    assert heaviest.cost == costs[heaviest.name]
    assert mixture.cost == sum(costs.values())


def test_weights_move_by_the_rate_in_every_step(searched):
    _, search = searched
    weights = search.record.arms[0].learned[0][1]
    logits = np.log(list(weights.values()))
    assert 0 < np.linalg.norm(logits - logits.mean()) <= 3 * 0.05 + 1e-6  # three steps an epoch


def test_model_trains_on_as_its_own_with_the_mixture_fixed(searched):
    model, search = searched
    assert "train_step" not in vars(model)
    assert model.sampler.weights_by_name[search.winner] == 1.0
    alone = build_search_model(eager=True, seed=5)
    alone.sampler.fix([float(name == search.winner) for name in alone.sampler.names])
    for mine, other in ((alone.users, model.users), (alone.items, model.items)):
        mine.embeddings.assign(other.embeddings)
    for one in (model, alone):
        one.fit(build_batches(one), epochs=1, verbose=0)
    for mine, other in ((alone.users, model.users), (alone.items, model.items)):
        np.testing.assert_array_equal(mine.embeddings, other.embeddings)


def test_fit_that_ends_with_the_mixture_keeps_it_as_it_learned():
    model = build_search_model(eager=True)
    search = build_search(strategy=GradientSearch(epochs=2))
    run(model, search, epochs=2)
    assert search.winner == "mixture"
    assert model.sampler.weights_by_name == search.record.arms[0].weights
    assert len(model.sampler.active) == 3


def test_traced_steps_learn_as_eager_ones():
    learned = []
    for eager in (True, False):
        model = build_search_model(eager=eager)
        search = build_search(strategy=GradientSearch("alignment", epochs=2), max_epochs=3)
        run(model, search)
        learned.append([list(one.values()) for _, one in search.record.arms[0].learned])
    np.testing.assert_allclose(*learned, atol=1e-5)

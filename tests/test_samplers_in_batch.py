import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_autosample import (
    InBatchSampler,
    Interactions,
    MixedSampler,
    SampledSoftmax,
)
from tf_autosample.batches.proposals import Proposal, SeenPairs
from tf_autosample.samplers import CandidateView, ModelSize

NUM_USERS, NUM_ITEMS = 60, 14  # nobody ever chose the last two items


def choices() -> Interactions:
    """Users with two to seven items each; item 0 is in most histories, item 11 in few."""
    rng = np.random.default_rng(4)
    appeal = np.append(np.linspace(1.5, -1.5, 12), [-np.inf, -np.inf])
    order = np.argsort(-(appeal + rng.gumbel(size=(NUM_USERS, NUM_ITEMS))), axis=1)
    pairs = [(u, i) for u in range(NUM_USERS) for i in order[u, : 2 + u % 6]]
    return Interactions(*np.array(pairs).T, NUM_USERS, NUM_ITEMS)


LOG = choices()


def ready(sampler, log=LOG):
    sampler.create_state(ModelSize(log.num_users, log.num_items, 0, 4))
    sampler.adapt(log)
    return sampler


def view_of(users, positives, seed=0, log=LOG):
    """The view of a batch whose embeddings nobody looks at."""
    return CandidateView(
        users=users,
        positives=positives,
        seeds=tf.reshape(tf.cast(seed, tf.int32), [1, 1]) * [[1, 0]],
        proposal=Proposal(uniform=1),
        user_emb=None,
        positive_emb=None,
        item=None,
        readout=None,
        history=SeenPairs.of(log),
    )


def drawn_for(sampler, rows, seed=0, log=LOG):
    return sampler.draw(view_of(log.users[rows], log.items[rows], seed, log))


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        (InBatchSampler(), "in-batch"),
        (MixedSampler(), "mixed"),
        (MixedSampler(num_uniform=7), "mixed7"),
        (MixedSampler(7, name="own"), "own"),
    ],
)
def test_sampler_is_named_by_its_setting(sampler, name):
    assert sampler.name == name


def test_mixed_needs_a_uniform_item():
    with pytest.raises(ValueError, match="`num_uniform` must be >= 1. Received: num_uniform=0"):
        MixedSampler(0)


def test_in_batch_negatives_are_the_positives_and_expected_by_their_training_counts():
    log = Interactions([0, 1, 2, 3, 0, 1, 2, 0], [0, 0, 0, 0, 1, 1, 2, 3], 4, 5)
    drawn = drawn_for(ready(InBatchSampler(), log), np.array([1, 4, 6, 7, 2]), log=log)
    items, log_q = drawn.items, drawn.log_q
    assert items.dtype == tf.int64 and log_q.dtype == tf.float32
    np.testing.assert_array_equal(items, [0, 1, 2, 3, 0])
    # Of 8 interactions 4 are with item 0, 2 with item 1, and a batch takes 5 of the 8.
    expected = [math.log(5 * count / 8) for count in (4, 2, 1, 1, 4)]
    np.testing.assert_allclose(log_q, expected, rtol=1e-5, atol=1e-6)


def test_mixed_negatives_are_expected_by_the_sum_of_both_proposals():
    log = Interactions([0, 1, 2, 3, 0, 1, 2, 0], [0, 0, 0, 0, 1, 1, 2, 3], 4, 5)
    counts = [4, 2, 1, 1, 0]  # nobody chose item 4
    drawn = drawn_for(ready(MixedSampler(400), log), np.array([1, 4, 6]), log=log)
    items, log_q = drawn.items, drawn.log_q
    assert items.shape == log_q.shape == (403,) and drawn.excluded.shape == (3, 403)
    np.testing.assert_array_equal(items[:3], [0, 1, 2])
    expected = [math.log(3 * counts[item] / 8 + 400 / 5) for item in items.numpy()]
    np.testing.assert_allclose(log_q, expected, rtol=1e-5)
    assert 4 in items.numpy()


def test_mixed_draws_every_item_of_the_catalogue_alike():
    items = drawn_for(ready(MixedSampler(20_000)), np.arange(5)).items
    observed = np.bincount(items[5:], minlength=NUM_ITEMS)
    # A right sampler fails at this level once in 10,000 seeds, and the seed is fixed.
    assert len(observed) == NUM_ITEMS and stats.chisquare(observed).pvalue > 1e-4


def test_mixed_draws_the_same_again_only_with_the_same_seed():
    sampler = ready(MixedSampler(50))
    first, again, other = (drawn_for(sampler, np.arange(3), s).items for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first[3:].numpy() != other[3:].numpy()).any()


@pytest.mark.parametrize("sampler", [InBatchSampler(), MixedSampler(30)], ids=lambda s: s.name)
def test_history_and_the_own_positive_are_left_out_wherever_they_stand(sampler):
    rows = np.arange(0, len(LOG), 3)
    drawn = drawn_for(ready(sampler), rows)
    items, is_excluded = drawn.items, drawn.excluded
    histories = [set(LOG.items[LOG.users == user]) for user in LOG.users[rows]]
    expected = [[item in history for item in items.numpy()] for history in histories]
    np.testing.assert_array_equal(is_excluded, expected)
    repeated = items.numpy()[None, :] == LOG.items[rows][:, None]
    assert repeated.sum() > len(rows)  # some positive stands more than once in the batch
    assert is_excluded.numpy()[repeated].all()


def random_scores():
    rng = np.random.default_rng(7)
    return rng.normal(size=(NUM_USERS, NUM_ITEMS)).astype("float32")


def full_softmax_slope(scores, items):
    """Mean gradient of the softmax over a row's positive and unseen `items`, per item."""
    slope = np.zeros(NUM_ITEMS)
    for user, positive in zip(LOG.users, LOG.items, strict=True):
        history = set(LOG.items[LOG.users == user])
        rivals = [positive, *(item for item in items if item not in history)]
        mass = np.exp(scores[user, rivals].astype(float))
        slope[rivals] += mass / mass.sum()
        slope[positive] -= 1
    return slope / len(LOG)


def sampled_slopes(scores, sampler, batches):
    """The same gradient as the sampler and its loss have it, of an offset on each item's score.

    Returns float [batches, 2, I]: with the sampler's log q, and with that of a uniform law.
    """

    @tf.function
    def slopes(users, positives, seed):
        items, _, log_q, is_excluded = sampler.draw(view_of(users, positives, seed))
        uniform = tf.fill(tf.shape(log_q), math.log(items.shape[0] / 12))
        result = []
        for law in (log_q, uniform):
            offset = tf.zeros([NUM_ITEMS])
            with tf.GradientTape() as tape:
                tape.watch(offset)
                own = tf.gather(tf.constant(scores) + offset, users)
                rivals = tf.where(is_excluded, -float("inf"), tf.gather(own, items, axis=1))
                positive_scores = tf.gather(own, positives, batch_dims=1)
                loss = SampledSoftmax()(positive_scores, rivals, log_q=law)
                loss = tf.reduce_mean(loss)
            result.append(tf.convert_to_tensor(tape.gradient(loss, offset)))
        return result

    users, items = tf.constant(LOG.users), tf.constant(LOG.items)
    gathered = ((tf.gather(users, rows), tf.gather(items, rows)) for rows in batches)
    return np.array([slopes(*pair, tf.constant(step)) for step, pair in enumerate(gathered)])


def test_logq_makes_a_batch_of_all_interactions_the_full_softmax_exactly():
    scores = random_scores()
    expected = full_softmax_slope(scores, range(12))
    [(corrected, raw)] = sampled_slopes(scores, ready(InBatchSampler()), [np.arange(len(LOG))])
    np.testing.assert_allclose(corrected, expected, atol=1e-5)
    # Without, items are pushed down for being popular: the bias grows with the count.
    bias = raw[:12] - expected[:12]
    assert np.linalg.norm(bias) > 0.2 * np.linalg.norm(expected)
    assert stats.pearsonr(bias, LOG.popularity[:12]).statistic > 0.5


def test_logq_estimates_the_full_softmax_from_small_batches():
    scores, rng = random_scores(), np.random.default_rng(1)
    expected = full_softmax_slope(scores, range(12))
    batches = [rng.choice(len(LOG), 64, False) for _ in range(300)]
    corrected, raw = np.moveaxis(sampled_slopes(scores, ready(InBatchSampler()), batches), 1, 0)
    size = np.linalg.norm(expected)
    # Left are chance, a 300th of a batch's variance, and the bias of a ratio, about 1 / 64.
    chance = np.linalg.norm(corrected.std(axis=0)) / 300**0.5
    assert np.linalg.norm(corrected.mean(axis=0) - expected) < 3 * chance + 0.05 * size
    assert np.linalg.norm(raw.mean(axis=0) - expected) > 0.4 * size


def test_mixed_estimates_the_softmax_over_items_that_no_batch_holds():
    scores, batches = random_scores(), [np.arange(len(LOG))] * 20
    expected = full_softmax_slope(scores, range(NUM_ITEMS))
    slopes = sampled_slopes(scores, ready(MixedSampler(3000)), batches)[:, 0]
    assert (expected[12:] > 0.02).all()
    np.testing.assert_allclose(slopes.mean(axis=0), expected, atol=0.004)

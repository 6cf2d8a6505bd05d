import numpy as np
import pytest
import tensorflow as tf
from adaptive_bench import DIM, NUM_ITEMS, NUM_USERS, Bench, fitted

from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers import MemorySampler


def build(**kwargs):
    return MemorySampler(memory_size=3, num_candidates=6, **kwargs)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def unseen(bench, user):
    return [item for item in range(NUM_ITEMS) if item not in bench.log.histories[user]]


def test_fit_leaves_distinct_unseen_items_in_each_memory_and_a_snapshot_of_each_epoch():
    model, _ = fitted(build())
    (sampler,) = model.sampler.samplers
    assert int(sampler.epoch.numpy()) == 2 and (sampler.memory.numpy() >= 0).all()
    assert sorted(sampler.snapshot_epochs.numpy()) == [-1, -1, 0, 1, 2]
    for user, memory in enumerate(sampler.memory.numpy()):
        assert not set(memory) & set(model.batches.interactions.histories[user])
        assert len(set(memory)) == 3


def choice_by_hand(past, user, positive, memory, scores, weight):
    """The definition, one pair at a time; `past` holds (user_emb, item_emb) per epoch."""
    values = []
    for item in memory:
        chances = [sigmoid(p[user] @ (q[item] - q[positive])) for p, q in past]
        mean = sum(chances) / len(chances)
        deviation = (sum((chance - mean) ** 2 for chance in chances) / len(chances)) ** 0.5
        values.append(sigmoid(scores[user, item] - scores[user, positive]) + weight * deviation)
    return memory[int(np.argmax(values))]


@pytest.mark.parametrize(("epoch", "share"), [(1, 0.1), (7, 0.7), (30, 1.0)])
def test_choice_maximizes_the_chance_plus_the_deviation_over_the_last_epochs(epoch, share):
    sampler = build(variance_weight=20.0, num_warm_up_epochs=10, num_snapshots=3)
    bench = Bench(sampler)
    rng, past = np.random.default_rng(5), []
    for at in range(epoch + 1):
        past.append((rng.normal(size=(NUM_USERS, DIM)), rng.normal(size=(NUM_ITEMS, DIM))))
        bench.set_vectors(*past[-1])
        sampler.refresh(bench.model, at)
    bench.set_vectors(bench.user_emb, bench.item_emb)
    users = np.arange(NUM_USERS)
    sampler.memory.assign([unseen(bench, user)[3:6] for user in users])
    memory = sampler.memory.numpy()
    positives = [bench.log.histories[user][1] for user in users]
    picked = bench.drawn(users, positives=positives)
    expected = [
        choice_by_hand(past[-3:], user, positive, row, bench.scores, 20.0 * share)
        for user, positive, row in zip(users, positives, memory, strict=True)
    ]
    np.testing.assert_array_equal(picked, expected)
    hardest = [row[np.argmax(bench.scores[user, row])] for user, row in enumerate(memory)]
    assert (picked != hardest).any()  # else the deviation did not count


def test_choice_at_epoch_0_is_the_highest_score_of_the_memory():
    bench = Bench(build(variance_weight=1e6))
    bench.sampler.refresh(bench.model, 0)
    memory = [unseen(bench, user)[:3] for user in range(NUM_USERS)]
    bench.sampler.memory.assign(memory)
    picked = bench.drawn(np.arange(NUM_USERS))
    expected = [row[np.argmax(bench.scores[user, row])] for user, row in enumerate(memory)]
    np.testing.assert_array_equal(picked, expected)


def test_snapshots_of_a_run_before_do_not_count():
    sampler = build(num_snapshots=4)
    bench = Bench(sampler)
    for epoch in range(6):
        bench.set_vectors(bench.user_emb * epoch, bench.item_emb)
        sampler.refresh(bench.model, epoch)
    bench.set_vectors(bench.user_emb, bench.item_emb)
    sampler.refresh(bench.model, 0)
    view = bench.view(np.arange(NUM_USERS))
    deviation = sampler._deviation(view, view.candidates[:, :3])
    np.testing.assert_allclose(deviation, np.zeros((NUM_USERS, 3)), atol=1e-7)


def test_an_empty_memory_starts_from_the_fresh_candidates():
    bench = Bench(build())
    picked = bench.drawn(np.arange(NUM_USERS))
    first = bench.batch(np.arange(NUM_USERS))["candidates"][:, :3]
    expected = [row[np.argmax(bench.scores[user, row])] for user, row in enumerate(first)]
    np.testing.assert_array_equal(picked, expected)


def test_memory_is_drawn_without_replacement_with_the_softmax_of_the_scores():
    num_users, temperature = 20_000, 2.0
    log = Interactions(np.arange(num_users), np.full(num_users, 5), num_users, 6)
    sampler = MemorySampler(memory_size=2, num_candidates=3, temperature=temperature)
    scores = np.array([0.0, 1.0, 2.0, 3.0])
    bench = Bench(sampler, log, np.ones((num_users, 1)), np.append(scores, [0, 0])[:, None])
    sampler.memory.assign(np.tile([[0, 1]], (num_users, 1)))
    fresh = np.tile([[2, 3, 2]], (num_users, 1))  # a repeated item counts once
    bench.drawn(np.arange(num_users), candidates=fresh)
    memory = np.sort(sampler.memory.numpy(), axis=1)
    chance = np.exp(scores / temperature) / np.exp(scores / temperature).sum()
    for one in range(4):
        for other in range(one + 1, 4):
            # First one and then the other, or the other way round.
            expected = (
                chance[one] * chance[other] * (1 / (1 - chance[one]) + 1 / (1 - chance[other]))
            )
            share = np.mean((memory == [one, other]).all(axis=1))
            assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / num_users)


def test_memory_changes_for_the_users_of_the_batch_alone_and_by_their_first_rows():
    bench = Bench(build(temperature=1e-3))
    start = [unseen(bench, user)[:3] for user in range(NUM_USERS)]
    bench.sampler.memory.assign(start)
    users = [4, 9, 4, 4]
    fresh = np.array([unseen(bench, user)[6:30] for user in users])[:, [*range(6)]]
    fresh[2:] = unseen(bench, 4)[20:26]
    bench.drawn(users, candidates=fresh)
    memory = bench.sampler.memory.numpy()
    others = [user for user in range(NUM_USERS) if user not in users]
    np.testing.assert_array_equal(memory[others], np.array(start)[others])
    for user, row in [(4, 0), (9, 1)]:
        union = [*start[user], *fresh[row]]
        best = sorted(union, key=lambda item: -bench.scores[user, item])[:3]
        assert set(memory[user]) == set(best)


def test_items_that_have_entered_the_history_are_forgotten():
    bench = Bench(build())
    start = np.array([unseen(bench, user)[:3] for user in range(NUM_USERS)])
    bench.sampler.memory.assign(start)
    more = Interactions(np.arange(NUM_USERS), start[:, 1], NUM_USERS, NUM_ITEMS)
    bench.model.adapt(bench.log.union(more))
    expected = np.stack([start[:, 0], np.full(NUM_USERS, -1), start[:, 2]], axis=1)
    np.testing.assert_array_equal(bench.sampler.memory, expected)


def test_memory_holds_valid_items_even_if_fewer_are_left_than_it_has_places():
    log = Interactions([0, 0, 0], [0, 1, 2], 1, 5)
    bench = Bench(build(), log, np.ones((1, DIM)), np.ones((5, DIM)))
    for key in range(3):
        assert int(bench.drawn([0], key=key)[0]) in (3, 4)
        assert set(bench.sampler.memory.numpy()[0]) <= {3, 4}


@pytest.mark.parametrize("scale", [0.0, 1e6])
def test_memory_works_for_any_size_of_scores(scale):
    bench = Bench(build(temperature=1e-3), scale=scale)
    for epoch in range(3):
        bench.sampler.refresh(bench.model, epoch)
        picked = bench.drawn(np.arange(NUM_USERS), key=epoch)
        assert not any(item in bench.log.histories[user] for user, item in enumerate(picked))
        view = bench.view(np.arange(NUM_USERS), key=epoch)
        deviation = bench.sampler._deviation(view, view.candidates)
        assert np.isfinite(deviation).all() and (bench.sampler.memory.numpy() >= 0).all()


def test_smaller_temperatures_pick_higher_scores():
    means = []
    for temperature in (1e6, 1.0, 0.1):
        bench, values = Bench(build(temperature=temperature)), []
        for key in range(40):
            picked = bench.drawn(np.arange(NUM_USERS), key=key)
            values.append(bench.scores[np.arange(NUM_USERS), picked].mean())
        means.append(np.mean(values[5:]))
    assert means[0] + 0.1 < means[1] and means[1] + 0.1 < means[2]


def test_bytes_of_the_state_are_as_documented():
    sampler = MemorySampler(num_candidates=20)
    Bench(sampler)
    size = sum(one.numpy().nbytes for one in sampler.variables)
    few = 8 + 5 * 8  # the epoch, and those of the snapshots
    assert size - few == NUM_USERS * 8 * 8 + 20 * DIM * (NUM_USERS + NUM_ITEMS)
    assert all(one.dtype in ("int64", "float32") for one in sampler.variables)
    assert tf.reduce_all(sampler.memory.value == -1)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("memory_size", 0),
        ("memory_size", 65),
        ("num_candidates", 0),
        ("variance_weight", -1.0),
        ("temperature", 0.0),
        ("num_warm_up_epochs", 0),
        ("num_snapshots", 0),
    ],
)
def test_memory_arguments_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be .* Received: .*{argument}={value}"):
        MemorySampler(**{argument: value})

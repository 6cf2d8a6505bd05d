import math

import numpy as np
import pytest
import tensorflow as tf

from tf_autosample.data.interactions import DataError, Interactions
from tf_autosample.evaluation import DivergedError, MostPopular, evaluate, top_k

NAMES = ("recall", "ndcg", "hit_rate", "precision", "mrr", "map")


class FixedModel:
    def __init__(self, user_emb, item_emb):
        self.emb = tf.constant(user_emb, tf.float32), tf.constant(item_emb, tf.float32)

    def final_embeddings(self):
        return self.emb


def random_data(num_users=200, num_items=301, seed=0):
    """Returns seen and test pairs, disjoint; about one user in three has no test item."""
    rng = np.random.default_rng(seed)
    role = rng.choice(["none", "seen", "test"], size=(num_users, num_items), p=[0.85, 0.12, 0.03])
    role[(rng.random(num_users) < 0.3)[:, None] & (role == "test")] = "none"
    return (Interactions(*np.nonzero(role == r), num_users, num_items) for r in ("seen", "test"))


def random_model(num_users=200, num_items=301, seed=1):
    rng = np.random.default_rng(seed)
    return FixedModel(rng.normal(size=(num_users, 8)), rng.normal(size=(num_items, 8)))


def slow_reference(model, test, seen, k):
    """Returns the mean metrics and the users, by loops over pairs."""
    user_emb, item_emb = (np.asarray(emb, np.float64) for emb in model.final_embeddings())
    seen_pairs = set(zip(seen.users.tolist(), seen.items.tolist(), strict=True))
    per_user, users, recommended = {name: [] for name in NAMES}, [], set()
    for user in range(test.num_users):
        relevant = {i for u, i in zip(test.users, test.items, strict=True) if u == user}
        if not relevant:
            continue
        unseen = [i for i in range(test.num_items) if (user, i) not in seen_pairs]
        ranking = sorted(unseen, key=lambda i, u=user: -sum(user_emb[u] * item_emb[i]))[:k]
        recommended |= set(ranking)
        ranks = [rank for rank, item in enumerate(ranking, start=1) if item in relevant]
        best = range(1, min(k, len(relevant)) + 1)
        gain = sum(1 / math.log2(rank + 1) for rank in ranks)
        per_user["recall"].append(len(ranks) / len(relevant))
        per_user["ndcg"].append(gain / sum(1 / math.log2(rank + 1) for rank in best))
        per_user["hit_rate"].append(float(bool(ranks)))
        per_user["precision"].append(len(ranks) / k)
        per_user["mrr"].append(1 / ranks[0] if ranks else 0.0)
        sums = sum(count / rank for count, rank in enumerate(ranks, start=1))
        per_user["map"].append(sums / len(best))
        users.append(user)
    metrics = {name: sum(values) / len(users) for name, values in per_user.items()}
    return metrics | {"coverage": len(recommended) / test.num_items}, per_user, users


def test_evaluate_equals_a_slow_reference():
    seen, test = random_data()
    found = evaluate(random_model(), test, seen=seen, k=(5, 20))
    assert set(found.metrics) == {f"{name}@{k}" for name in (*NAMES, "coverage") for k in (5, 20)}
    for k in (5, 20):
        metrics, per_user, users = slow_reference(random_model(), test, seen, k)
        assert found.users.dtype == np.int32 and found.users.tolist() == users
        for name, value in metrics.items():
            assert found.metrics[f"{name}@{k}"] == pytest.approx(value, rel=1e-9)
        for name in NAMES:
            values = found.per_user[f"{name}@{k}"]
            assert values.dtype == np.float64
            np.testing.assert_allclose(values, per_user[name], rtol=1e-9)


@pytest.mark.parametrize("num_items", [1, 31, 32, 33, 64, 65, 700])
def test_evaluate_ranks_right_when_all_scores_are_negative(num_items):
    # The table is padded inside; padding that scored 0 would beat every item here.
    scores = -1.0 - np.arange(num_items)[::-1]
    model = FixedModel([[1.0]], scores[:, None])
    seen = Interactions([], [], 1, num_items)
    for k in {1, min(20, num_items), num_items}:
        worst = Interactions([0], [num_items - k], 1, num_items)  # the item of rank k
        assert evaluate(model, worst, seen=seen, k=k).metrics[f"mrr@{k}"] == 1 / k


def test_evaluate_leaves_out_users_without_test_items():
    # User 0 has a hit, user 1 a miss, users 2 and 3 have nothing held out.
    model = FixedModel(np.ones((4, 1)), [[3.0], [2.0], [1.0]])
    test = Interactions([0, 1], [0, 2], 4, 3)
    found = evaluate(model, test, seen=(), k=1)
    assert found.users.tolist() == [0, 1]
    assert found.per_user["recall@1"].tolist() == [1.0, 0.0]
    assert found.metrics["recall@1"] == 1 / 2
    assert found.metrics["coverage@1"] == 1 / 3


def test_seen_items_give_way_to_the_next_best():
    model = FixedModel([[1.0], [1.0]], [[4.0], [3.0], [2.0], [1.0]])
    test = Interactions([0, 1], [2, 2], 2, 4)
    seen = Interactions([0, 0], [0, 1], 2, 4)
    assert evaluate(model, test, seen=seen, k=3).per_user["mrr@3"].tolist() == [1 / 1, 1 / 3]


def test_seen_in_several_parts_is_seen_in_one():
    seen, test = random_data()
    half = np.arange(len(seen)) % 2 == 0
    parts = [seen.select(half), seen.select(~half)]
    whole = evaluate(random_model(), test, seen=seen)
    assert evaluate(random_model(), test, seen=parts).metrics == whole.metrics
    assert evaluate(random_model(), test, seen=parts[:1]).metrics != whole.metrics


def test_ranks_for_which_no_item_is_left_are_misses():
    # User 1 has seen all but item 2; ranks 2 and 3 stay empty and add nothing to coverage.
    # (Item -1 of user 1, taken literally, would be the last item of user 0, who holds it out.)
    model = FixedModel([[1.0], [1.0]], [[4.0], [3.0], [2.0], [1.0]])
    test = Interactions([0, 1], [3, 2], 2, 4)
    seen = Interactions([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 3], 2, 4)
    found = evaluate(model, test, seen=seen, k=3)
    assert found.per_user["precision@3"].tolist() == [1 / 3, 1 / 3]
    assert found.metrics["coverage@3"] == 2 / 4


def test_constant_scorer_is_as_good_as_chance_though_low_ids_are_the_held_out_ones():
    model = FixedModel(np.ones((40, 1)), np.ones((200, 1)))
    test = Interactions(np.arange(40), np.arange(40) % 20, 40, 200)
    recalls = [
        evaluate(model, test, seen=(), k=20, seed=seed).metrics["recall@20"] for seed in range(40)
    ]
    chance = 20 / 200
    # 20 items, each among the first 20 with probability `chance`, in 40 draws.
    standard_error = math.sqrt(chance * (1 - chance) / 20 / 40)
    assert abs(np.mean(recalls) - chance) < 4 * standard_error


def test_ties_are_broken_the_same_way_for_the_same_seed():
    model = FixedModel(np.ones((200, 1)), np.ones((301, 1)))
    seen, test = random_data()
    first, again, other = (evaluate(model, test, seen=seen, seed=s).metrics for s in (3, 3, 4))
    assert first == again != other


def test_perfect_model_of_a_checkerboard_has_recall_one():
    users, items = np.nonzero(np.add.outer(np.arange(30), np.arange(40)) % 2 == 0)
    everything = Interactions(users, items, 30, 40)
    held_out = np.random.default_rng(0).random(len(users)) < 0.4
    test, seen = everything.select(held_out), everything.select(~held_out)
    model = FixedModel(np.eye(2)[np.arange(30) % 2], np.eye(2)[np.arange(40) % 2])
    metrics = evaluate(model, test, seen=seen, k=20).metrics
    for name in ("recall", "ndcg", "hit_rate", "mrr", "map"):
        assert metrics[f"{name}@20"] == pytest.approx(1.0)
    assert metrics["precision@20"] == pytest.approx(np.mean(test.histories.lengths / 20))


def test_blocks_give_the_result_of_one_block():
    seen, test = random_data()
    # Small whole numbers: exact in every order of summation, and full of ties.
    rng = np.random.default_rng(2)
    model = FixedModel(rng.integers(-3, 4, (200, 5)), rng.integers(-3, 4, (301, 5)))
    whole = evaluate(model, test, seen=seen, k=10)
    for memory_budget in (1, 37 * 4 * 2 * 301):
        blocks = evaluate(model, test, seen=seen, k=10, memory_budget=memory_budget)
        assert blocks.metrics == whole.metrics


def test_evaluate_traces_once_for_all_shapes():
    for num_users, num_items, budget in [(20, 50, 1), (30, 70, 10_000), (30, 70, 2**28)]:
        seen, test = random_data(num_users, num_items)
        for k in (1, (3, 7)):
            evaluate(random_model(num_users, num_items), test, seen=seen, k=k, memory_budget=budget)
    assert top_k.top_columns.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("table", [0, 1])
def test_scores_that_are_not_finite_are_refused(value, table):
    seen, test = random_data()
    emb = [np.array(part) for part in random_model().final_embeddings()]
    emb[table][test.users[0] if table == 0 else 7, 2] = value
    with pytest.raises(DivergedError, match="not finite.*smaller learning rate"):
        evaluate(FixedModel(*emb), test, seen=seen)


def test_scores_too_large_for_float32_are_refused():
    seen, test = random_data()
    user_emb, item_emb = (np.array(part) for part in random_model().final_embeddings())
    with pytest.raises(DivergedError, match="too large"):
        evaluate(FixedModel(user_emb * 1e20, item_emb * 1e20), test, seen=seen)


def test_pair_both_seen_and_test_is_refused():
    test = Interactions([0, 0, 1], [0, 1, 2], 2, 3)
    seen = Interactions([0, 1, 1], [1, 2, 0], 2, 3)
    with pytest.raises(DataError, match="2 of 3 test pairs"):
        evaluate(random_model(2, 3), test, seen=seen, k=1)


def test_test_without_pairs_is_refused():
    with pytest.raises(DataError, match="at least one pair"):
        evaluate(random_model(2, 3), Interactions([], [], 2, 3), seen=(), k=1)


def test_seen_over_other_ids_is_refused():
    test, seen = Interactions([0], [0], 2, 3), Interactions([1], [0], 2, 4)
    with pytest.raises(DataError, match="same id space"):
        evaluate(random_model(2, 3), test, seen=seen, k=1)


@pytest.mark.parametrize("k", [0, 4, (1, 4), ()])
def test_k_outside_the_catalogue_is_refused(k):
    test = Interactions([0], [0], 2, 3)
    with pytest.raises(ValueError, match="between 1 and the 3 items"):
        evaluate(random_model(2, 3), test, seen=(), k=k)


def test_model_of_another_size_is_refused():
    test = Interactions([0], [0], 2, 3)
    with pytest.raises(ValueError, match="must embed 2 users and 3 items"):
        evaluate(random_model(2, 4), test, seen=(), k=1)


def test_most_popular_recommends_what_most_users_chose():
    # Chosen 1, 3 and 2 times; item 3 never.
    train = Interactions([0, 0, 1, 2, 3, 4], [0, 1, 1, 1, 2, 2], 5, 4)
    test = Interactions([0, 1, 3, 4], [2, 2, 1, 0], 5, 4)
    found = evaluate(MostPopular(train), test, seen=train, k=2)
    # Unseen by popularity: user 0: 2 then 3; user 1: 2 then 0; users 3 and 4: 1 then 0.
    assert found.per_user["mrr@2"].tolist() == [1 / 1, 1 / 1, 1 / 1, 1 / 2]

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import Interactions, Vocabulary
from tf_autosample.export import indexes
from tf_autosample.export.clusters import cluster
from tf_autosample.export.exact import ExactIndex
from tf_autosample.export.graph import RetrievalGraph
from tf_autosample.export.ivf import IvfIndex
from tf_autosample.export.publish import export_retrieval
from tf_autosample.export.tables import RetrievalTables

NUM_USERS, NUM_ITEMS, DIM, K = 60, 4000, 8, 10
LOWEST = np.finfo(np.float32).min
NOTHING = np.zeros(0, "int64"), np.zeros(0, "int32")


def clustered(count, rng):
    """Vectors around 30 centres, rounded so that sums of their products are exact in float32."""
    centres = np.random.default_rng(7).normal(size=(30, DIM))
    points = centres[rng.integers(0, 30, count)] + 0.3 * rng.normal(size=(count, DIM))
    return (np.round(points * 256) / 256).astype("float32")


USER_EMB = clustered(NUM_USERS, np.random.default_rng(1))
ITEM_EMB = clustered(NUM_ITEMS, np.random.default_rng(2))
SEEN = Interactions(
    np.repeat(np.arange(NUM_USERS), 30),
    np.random.default_rng(3).integers(0, NUM_ITEMS, NUM_USERS * 30),
    NUM_USERS,
    NUM_ITEMS,
)


def index_over(item_emb, probes=None, seed=0):
    norms = np.linalg.norm(item_emb, axis=1)
    inverse = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    index = IvfIndex(ExactIndex(tf.Variable(item_emb), tf.Variable(inverse)), seed)
    if probes is not None:
        index.probes = {"dot": probes, "cosine": probes}
    return index


@pytest.fixture(scope="module")
def one_probe():
    return index_over(ITEM_EMB, probes=1)


@pytest.mark.parametrize("cosine", [False, True])
def test_all_lists_probed_give_the_exact_answer(cosine):
    index = index_over(ITEM_EMB)
    query_emb = USER_EMB[:1] / np.linalg.norm(USER_EMB[:1])
    excluded = np.arange(0, NUM_ITEMS, 3, dtype="int32")
    pairs = np.zeros(len(excluded), "int64"), excluded
    wanted = index.exact.search(query_emb, 50, pairs, cosine)
    scores, items = index.probe(query_emb, 50, excluded, cosine)
    np.testing.assert_array_equal(items, wanted[1])
    np.testing.assert_allclose(scores, wanted[0], rtol=1e-6)


def test_most_promising_list_is_the_one_around_the_query():
    # Two groups far apart, at (8, 0) and (0, 8): either list alone holds the answer.
    item_emb = np.array([[8, 0], [0, 8], [8, 1], [1, 8], [9, 0], [0, 9]] * 2, "float32")
    index = index_over(item_emb, probes=1)
    # Products with (1, 0) are 8, 0, 8, 1, 9, 0: equal ones in the order of the catalogue.
    scores, items = index.search(tf.constant([[1.0, 0.0]]), 2, NOTHING)
    assert items.numpy().tolist() == [[4, 10]]
    assert scores.numpy().tolist() == [[9, 9]]


def test_equal_scores_stand_in_catalogue_order():
    item_emb = np.repeat(ITEM_EMB[:20], 50, axis=0)[np.random.default_rng(0).permutation(1000)]
    _, items = index_over(item_emb, probes=2).search(USER_EMB[:4], 40, NOTHING)
    for user, row in zip(USER_EMB, items.numpy(), strict=False):
        scores = item_emb @ user
        assert row.tolist() == sorted(row, key=lambda item: (-scores[item], item))


def test_excluded_items_never_appear_and_rows_stay_full(one_probe):
    rng = np.random.default_rng(0)
    best = np.argsort(-(USER_EMB[:5] @ ITEM_EMB.T), axis=1)[:, :600]  # more than any list holds
    rows = np.repeat(np.arange(5), 604)
    items = np.concatenate([[*row, row[0], -1, NUM_ITEMS, -7] for row in best])
    mixed = rng.permutation(len(rows))
    _, found = one_probe.search(USER_EMB[:5], 30, (rows[mixed], items[mixed].astype("int32")))
    for row, left_out in zip(found.numpy(), best, strict=True):
        assert len(set(row)) == 30 and row.min() >= 0
        assert not set(row) & set(left_out)


@pytest.mark.parametrize("k", [1, 500, 3999, NUM_ITEMS])
def test_rows_are_as_long_as_the_exact_ones_for_any_k(one_probe, k):
    _, found = one_probe.search(USER_EMB[:3], k, NOTHING)
    assert found.shape == (3, k)
    assert all(len(set(row)) == k and row.min() >= 0 for row in found.numpy())


def test_row_without_enough_items_ends_in_padding(one_probe):
    left = [3, 77, 3998]
    excluded = np.setdiff1d(np.arange(NUM_ITEMS), left).astype("int32")
    scores, found = one_probe.search(USER_EMB[:2], 5, (np.ones(len(excluded), "int64"), excluded))
    assert set(found[1, :3].numpy()) == set(left)
    assert found[1, 3:].numpy().tolist() == [-1, -1]
    assert scores[1, 3:].numpy().tolist() == [LOWEST, LOWEST]
    assert found[0].numpy().min() >= 0


def test_answer_to_a_query_does_not_depend_on_the_batch(one_probe):
    busy = np.arange(2000, dtype="int32")  # half of the catalogue: that row is answered exactly
    alone = one_probe.search(USER_EMB[:1], 9, NOTHING)
    beside = one_probe.search(USER_EMB[:2], 9, (np.ones(2000, "int64"), busy))
    np.testing.assert_array_equal(alone[1][0], beside[1][0])
    assert one_probe.search(USER_EMB[:0], 9, NOTHING)[1].shape == (0, 9)


@pytest.mark.parametrize("item_emb", [np.zeros((40, 3)), np.ones((7, 3)), [[2, 1, 0]]])
def test_vectors_that_do_not_cluster_stand_in_one_list(item_emb):
    index = index_over(np.array(item_emb, "float32"))
    assert index.lists.count == 1
    _, items = index.search(np.ones((1, 3), "float32"), 1, NOTHING)
    assert items.numpy().tolist() == [[0]]


def test_same_seed_gives_the_same_clusters_and_another_seed_others():
    first, again, other = (cluster(ITEM_EMB, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_clusters_are_those_of_the_data():
    points = np.repeat(np.eye(4, dtype="float32") * 100, 25, axis=0)
    points += np.random.default_rng(0).normal(size=points.shape).astype("float32")
    found = [set(part) for part in cluster(points, 40).reshape(4, 25)]
    assert not any(one & other for n, one in enumerate(found) for other in found[:n])


class Model:
    num_users, num_items = NUM_USERS, NUM_ITEMS

    def final_embeddings(self):
        return tf.constant(USER_EMB), tf.constant(ITEM_EMB)


IDS = {"users": Vocabulary(np.arange(NUM_USERS)), "items": Vocabulary(np.arange(NUM_ITEMS))}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "films"
    return export_retrieval(Model(), path, **IDS, seen=SEEN, index="ivf", k=K)


def brute_force(vectors, hide, k=K):
    """For each row of scores, the k best items that are not hidden."""
    vectors = vectors.astype(float)
    for row, left_out in enumerate(hide):
        vectors[row, left_out] = -np.inf
    return [set(row) for row in np.argsort(-vectors, axis=1)[:, :k]]


def shared(found, wanted):
    return np.mean(
        [len(set(row) & best) / len(best) for row, best in zip(found, wanted, strict=True)]
    )


def test_metadata_hold_the_recall_that_the_published_model_has(published):
    text = (published / "assets.extra" / "metadata.json").read_text()
    index = json.loads(text)["index"]
    signatures = tf.saved_model.load(str(published)).signatures
    users = np.arange(NUM_USERS)
    found = signatures["serving_default"](user_id=tf.constant(users))["item_ids"].numpy()
    seen = [SEEN.items[SEEN.users == user] for user in users]
    measured = shared(found, brute_force(USER_EMB @ ITEM_EMB.T, seen))
    assert index["name"] == "ivf"
    assert index["recall"] == pytest.approx(measured)
    assert 0.95 <= measured
    assert index["probes"] < index["lists"] / 4  # it does not read all there is

    items = np.arange(0, NUM_ITEMS, 4)
    found = signatures["similar_items"](item_id=tf.constant(items), k=tf.constant(K))
    unit = ITEM_EMB / np.linalg.norm(ITEM_EMB, axis=1, keepdims=True)
    best = brute_force(unit[items] @ unit.T, items[:, np.newaxis])
    # That recall is of another sample of 1,000 items: some 0.003 of standard error each.
    measured = shared(found["item_ids"].numpy(), best)
    assert index["similar_items"]["recall"] == pytest.approx(measured, abs=0.015)


def test_catalogue_without_clusters_is_searched_exactly(tmp_path):
    rng = np.random.default_rng(0)
    tables = RetrievalTables(
        rng.normal(size=(5, 40)).astype("float32"),
        rng.normal(size=(300, 40)).astype("float32"),
        Vocabulary(np.arange(5)),
        Vocabulary(np.arange(300)),
        Interactions([0], [0], 5, 300),
    )
    index = RetrievalGraph(tables, "ivf", 20, tmp_path).index.describe()
    assert (index["recall"], index["probes"]) == (1.0, index["lists"])


def test_fewest_probes_are_counted_along_each_order():
    class Four:
        count, order = 4, np.arange(8)
        list_of_item = tf.constant([0, 0, 1, 1, 2, 2, 3, 3])
        sizes = tf.constant([2, 2, 2, 2])

    # Ranks of the lists that hold the best items: 0, 0, 1 and 0, 2: three lists for 0.95 of them.
    best = np.array([[0, 1, 2], [7, 4, -1]])
    order = np.array([[0, 1, 2, 3], [3, 1, 2, 0]])
    assert indexes.fewest_probes(best, order, Four) == (3, 6 / 8)


def test_no_signature_makes_later_reads_of_a_table_copies(tmp_path):
    """`ResourceGather` on a variable does so, for as long as the model is loaded."""
    seen = Interactions([0], [0], NUM_USERS, NUM_ITEMS)
    tables = RetrievalTables(USER_EMB, ITEM_EMB, *IDS.values(), seen)
    for function in RetrievalGraph(tables, "ivf", K, tmp_path).signatures().values():
        graph = function.graph.as_graph_def()
        nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
        assert "ResourceGather" not in {node.op for node in nodes}

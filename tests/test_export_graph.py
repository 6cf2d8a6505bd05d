import math

import numpy as np
import pytest
import tensorflow as tf

from tf_autosample import Interactions, Vocabulary
from tf_autosample.export import exact, ids
from tf_autosample.export.graph import RetrievalGraph
from tf_autosample.export.tables import RetrievalTables

NUM_USERS, NUM_ITEMS, DIM, K = 6, 2500, 5, 7  # more than two blocks of 1024 items
LOWEST = np.finfo(np.float32).min
FULL_USER, NEARLY_FULL_USER = 4, 5


def vocabularies(kind, num_users=NUM_USERS, num_items=NUM_ITEMS):
    if kind == "int":
        return Vocabulary(np.arange(num_users) + 100), Vocabulary(np.arange(num_items) * 3 - 50_000)
    return (
        Vocabulary([f"user {n}" for n in range(num_users)]),
        Vocabulary([f"Ü{n}" for n in range(num_items)]),
    )


def random_tables(kind, exclude_seen=True):
    rng = np.random.default_rng(0)
    pairs = [(user, item) for user in range(4) for item in rng.integers(0, NUM_ITEMS, 400)]
    pairs += [(FULL_USER, item) for item in range(NUM_ITEMS)]
    pairs += [(NEARLY_FULL_USER, item) for item in range(NUM_ITEMS) if item not in (8, 1999)]
    users, items = np.transpose(pairs)
    # Multiples of 1/256: sums of their products are exact in float32, so equal scores are equal.
    user_emb, item_emb = (
        (np.round(rng.normal(size=(count, DIM)) * 256) / 256).astype("float32")
        for count in (NUM_USERS, NUM_ITEMS)
    )
    return RetrievalTables(
        user_emb,
        item_emb,
        *vocabularies(kind),
        Interactions(users, items, NUM_USERS, NUM_ITEMS),
        exclude_seen,
    )


class Case:
    """A graph beside the tables it was made of, called with positions and -1 for unknown."""

    def __init__(self, tables, directory):
        self.tables, self.kind = tables, tables.items.kind
        self.graph = RetrievalGraph(tables, "exact", K, directory)
        self.functions = self.graph.signatures()
        self.unknown, self.padding = ("nobody", "") if self.kind == "str" else (-77, -1)
        self.histories = [set() for _ in tables.users.ids]
        for user, item in zip(tables.seen.users, tables.seen.items, strict=True):
            self.histories[user].add(int(item))

    def raw(self, vocabulary, positions):
        table = [*vocabulary.ids.tolist(), self.padding, self.unknown]  # -2 padding, -1 unknown
        dtype = tf.int64 if self.kind == "int" else tf.string
        nested = np.array(table, object)[np.array(positions, int)]
        return tf.constant(nested.tolist(), dtype, nested.shape)

    def __call__(self, signature, users=None, items=None, item=None, exclude=None, k=None):
        inputs = {}
        if users is not None:
            inputs["user_id"] = self.raw(self.tables.users, users)
        for name, positions in {"item_ids": items, "item_id": item, "exclude_ids": exclude}.items():
            if positions is not None:
                inputs[name] = self.raw(self.tables.items, positions)
        if k is not None:
            inputs["k"] = tf.constant(k, tf.int32)
        return {key: value.numpy() for key, value in self.functions[signature](**inputs).items()}

    def popularity(self):
        return [sum(item in h for h in self.histories) for item in range(len(self.tables.items))]

    def check_ranking(self, found, rows, k):
        """Compare with lists of (live scores, items left out), ranked one by one."""
        assert found["item_ids"].shape == found["scores"].shape == (len(rows), k)
        assert found["scores"].dtype == np.float32
        for row, (scores, left_out) in enumerate(rows):
            ranked = [n for n in np.argsort(-np.array(scores), kind="stable") if n not in left_out]
            ranked = ranked[:k]
            ids = [self.tables.items.ids.tolist()[n] for n in ranked]
            ids += [self.padding] * (k - len(ids))
            if self.kind == "str":
                ids = [raw.encode() for raw in ids]
            assert found["item_ids"][row].tolist() == ids
            wanted = [scores[n] for n in ranked] + [LOWEST] * (k - len(ranked))
            np.testing.assert_allclose(found["scores"][row], wanted, rtol=1e-4, atol=1e-5)

    def user_row(self, user, exclude=()):
        vector = self.tables.user_emb[user].astype(float)
        left_out = self.histories[user] if self.tables.exclude_seen else set()
        return self.tables.item_emb.astype(float) @ vector, left_out | set(exclude)


@pytest.fixture(scope="module", params=["str one block", "int blocks"])
def case(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "int blocks":
            patch.setattr(exact, "SCORES_IN_MEMORY", 1)
        yield Case(random_tables(request.param[:3]), tmp_path_factory.mktemp("assets"))


def test_default_signature_ranks_unseen_items_by_dot_product(case):
    users = [3, 0, 1, 2]
    found = case("serving_default", users)
    case.check_ranking(found, [case.user_row(user) for user in users], K)
    assert found["known_user"].tolist() == [True] * 4


def test_rows_with_too_few_unseen_items_end_in_padding(case):
    users = [NEARLY_FULL_USER, FULL_USER]
    found = case("serving_default", users)
    case.check_ranking(found, [case.user_row(user) for user in users], K)
    assert (found["scores"][1] == LOWEST).all()


@pytest.mark.parametrize("k", [1, 20, 1500, 9999])
def test_recommend_leaves_out_exclusions_and_still_gives_k_items(case, k):
    users = [1, NEARLY_FULL_USER]
    best = np.argsort(-case.user_row(1)[0])[:3].tolist()
    exclude = [[*best, -1, -2], [8, -2, -2, -1, 8]]
    found = case("recommend", users, exclude=exclude, k=k)
    rows = [case.user_row(user, row) for user, row in zip(users, exclude, strict=True)]
    case.check_ranking(found, rows, min(k, NUM_ITEMS))


def test_unknown_user_gets_popular_items_beside_known_users(case):
    popularity = case.popularity()
    popular = np.argsort(-np.array(popularity), kind="stable")[:4].tolist()
    exclude = [[-2, -2], [popular[0], popular[2]], [-2, -1]]
    found = case("recommend", [2, -1, -1], exclude=exclude, k=5)
    rows = [case.user_row(2), (popularity, set(exclude[1])), (popularity, set())]
    case.check_ranking(found, rows, 5)
    assert found["known_user"].tolist() == [True, False, False]
    assert case("serving_default", [-1])["known_user"].tolist() == [False]


def test_visitor_is_the_mean_of_known_items_and_does_not_get_them_back(case):
    items = [[5, 17, -2], [900, -1, 900], [-1, -2, -1]]
    found = case("recommend_from_items", items=items)
    emb = case.tables.item_emb.astype(float)
    rows = [(emb @ (emb[5] + emb[17]) / 2, {5, 17}), (emb @ emb[900], {900})]
    case.check_ranking(found, [*rows, (case.popularity(), set())], K)
    assert found["known_user"].tolist() == [True, True, False]


def test_similar_items_are_those_of_largest_cosine_without_itself(case):
    found = case("similar_items", item=[2499, -1, 0], k=9)
    emb = case.tables.item_emb.astype(float)
    unit = emb / np.sqrt((emb**2).sum(axis=1, keepdims=True))
    nothing = np.zeros(NUM_ITEMS), set(range(NUM_ITEMS))
    case.check_ranking(found, [(unit @ unit[2499], {2499}), nothing, (unit @ unit[0], {0})], 9)
    assert found["known_item"].tolist() == [True, False, True]


def test_score_is_the_dot_product_and_popularity_for_unknown_users(case):
    found = case("score", [1, -1], items=[[3, -1, 2], [7, 0, -2]])
    popularity = case.popularity()
    dots = case.tables.item_emb[[3, 2]] @ case.tables.user_emb[1]
    wanted = [[dots[0], LOWEST, dots[1]], [popularity[7], popularity[0], LOWEST]]
    np.testing.assert_allclose(found["scores"], wanted, rtol=1e-4)
    assert found["known_user"].tolist() == [True, False]
    assert found["known_item"].tolist() == [[True, False, True], [True, True, False]]


def test_embeddings_of_unknown_ids_are_zero(case):
    found = case("user_embedding", [2, -1])
    np.testing.assert_array_equal(found["embedding"], [case.tables.user_emb[2], [0] * DIM])
    assert found["known_user"].tolist() == [True, False]
    found = case("item_embedding", item=[-1, 11])
    np.testing.assert_array_equal(found["embedding"], [[0] * DIM, case.tables.item_emb[11]])
    assert found["known_item"].tolist() == [False, True]


def test_empty_batch_gives_empty_answers(case):
    assert case("serving_default", [])["item_ids"].shape == (0, K)
    assert case("recommend", [], exclude=np.zeros((0, 3)), k=2)["scores"].shape == (0, 2)


def test_k_below_one_is_refused(case):
    with pytest.raises(tf.errors.InvalidArgumentError, match="`k` must be at least 1"):
        case("recommend", [0], exclude=[[-2]], k=0)


@pytest.mark.parametrize("signature, name", [("recommend", "exclude"), ("score", "items")])
def test_lists_with_another_number_of_rows_than_users_are_refused(case, signature, name):
    extra = {"k": 3} if signature == "recommend" else {}
    with pytest.raises(tf.errors.InvalidArgumentError, match="one row per `user_id`"):
        case(signature, [0, 1], **{name: [[4, 5]]}, **extra)


def test_seen_items_stay_when_they_are_not_to_be_excluded(tmp_path):
    case = Case(random_tables("int", exclude_seen=False), tmp_path)
    found = case("serving_default", [0, FULL_USER])
    case.check_ranking(found, [case.user_row(0), case.user_row(FULL_USER)], K)


@pytest.mark.parametrize("scores_in_memory", [1, 3 * 1024 * 2, 2**24])
def test_equal_scores_stand_in_catalogue_order_whatever_the_blocks(monkeypatch, scores_in_memory):
    monkeypatch.setattr(exact, "SCORES_IN_MEMORY", scores_in_memory)
    scores = np.random.default_rng(0).integers(0, 4, (3, 5000)).astype("float32")
    excluded = np.array([0, 0, 2]), np.array([4, 4999, 3], "int32")
    found_scores, found_items = exact.top_k(
        lambda start, stop: tf.constant(scores)[:, start:stop], 3, 5000, 1300, excluded
    )
    masked = scores.copy()
    masked[excluded] = -1
    wanted = np.argsort(-masked, axis=1, kind="stable")[:, :1300]
    np.testing.assert_array_equal(found_items, wanted)
    np.testing.assert_array_equal(found_scores, np.take_along_axis(masked, wanted, axis=1))


def test_blocks_hold_no_more_scores_than_allowed(monkeypatch):
    monkeypatch.setattr(exact, "SCORES_IN_MEMORY", 5 * 4096)
    widths = []

    def score_block(start, stop):
        widths.append(int(stop - start))
        return tf.zeros([4, stop - start])

    nothing = np.zeros(0, "int64"), np.zeros(0, "int32")
    exact.top_k(score_block, 4, 12_000, 2, nothing)
    assert widths == [5 * 1024, 5 * 1024, 12_000 - 10 * 1024]


@pytest.mark.parametrize("raw", [["a", " b ", "c\td", "é", "7"], [5, -9, 2**62, 0]])
def test_ids_in_a_file_are_found_like_ids_in_the_graph(tmp_path, monkeypatch, raw):
    vocabulary = Vocabulary(raw)
    probe = tf.constant([raw[2], raw[1], raw[0] * 2 + raw[1], raw[-1]])
    table = ids.IdTable(vocabulary, "item_ids", tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(ids, "MAX_CONSTANT_IDS", 3)
    in_file = ids.IdTable(vocabulary, "item_ids", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["item_ids.txt"]
    for each in (table, in_file):
        assert each.positions(probe).numpy().tolist() == [2, 1, -1, len(raw) - 1]
        assert each.raw_ids(tf.constant([1, -1])).numpy().tolist()[0] == probe[1].numpy()


@pytest.mark.parametrize("line_break", ["\n", "\r"])
def test_line_break_in_an_id_that_goes_to_a_file_is_refused(tmp_path, monkeypatch, line_break):
    vocabulary = Vocabulary(["a", f"b{line_break}c"])
    table = ids.IdTable(vocabulary, "item_ids", tmp_path)
    assert table.positions(tf.constant([f"b{line_break}c"])).numpy().tolist() == [1]
    monkeypatch.setattr(ids, "MAX_CONSTANT_IDS", 1)
    with pytest.raises(ValueError, match="`item_ids` must not hold line breaks"):
        ids.IdTable(vocabulary, "item_ids", tmp_path)


def small_tables(**changes):
    users, items = vocabularies("int", 2, 3)
    parts = {
        "user_emb": np.ones((2, 4), "float32"),
        "item_emb": np.ones((3, 4), "float32"),
        "users": users,
        "items": items,
        "seen": Interactions([0], [1], 2, 3),
    }
    return RetrievalTables(**parts | changes)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_embeddings_that_are_not_finite_are_refused(value):
    item_emb = np.ones((3, 4), "float32")
    item_emb[1, 2] = value
    with pytest.raises(ValueError, match=r"NaN or infinity for 1 of 3 items.*-49997"):
        small_tables(item_emb=item_emb)


def test_embeddings_whose_scores_leave_float32_are_refused():
    with pytest.raises(ValueError, match="scores fit float32"):
        small_tables(item_emb=np.full((3, 4), 1e38, "float32"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seen": Interactions([0], [1], 2, 4)}, "`seen` must have the id space of `items`"),
        ({"item_emb": np.ones((3, 5), "float32")}, "embeddings of one size"),
        ({"item_emb": np.ones((4, 4), "float32")}, "one embedding to each of the 3 items"),
        ({"user_emb": np.ones(2, "float32")}, "one embedding to each of the 2 users"),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small_tables(**changes)

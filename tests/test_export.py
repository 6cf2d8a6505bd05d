import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_autosample
from tf_autosample import Interactions, MatrixFactorization, UniformSampler, Vocabulary
from tf_autosample.export import ExportError, export_retrieval, graph, ids, publish, verify

NUM_USERS, NUM_ITEMS, K = 40, 300, 6
SIGNATURES = [
    "item_embedding",
    "recommend",
    "recommend_from_items",
    "score",
    "serving_default",
    "similar_items",
    "user_embedding",
]


class Model:
    """What `export_retrieval` asks of a model."""

    num_users, num_items = NUM_USERS, NUM_ITEMS

    def __init__(self):
        rng = np.random.default_rng(1)
        self.user_emb = rng.normal(size=(NUM_USERS, 8)).astype("float32")
        self.item_emb = rng.normal(size=(NUM_ITEMS, 8)).astype("float32")

    def final_embeddings(self):
        return tf.constant(self.user_emb), tf.constant(self.item_emb)


USERS = Vocabulary([f"Zoë {n} " for n in range(NUM_USERS)])
ITEMS = Vocabulary([f" item\t{n}" for n in range(NUM_ITEMS)])
SEEN = Interactions(
    np.repeat(np.arange(NUM_USERS), 30),
    np.random.default_rng(2).integers(0, NUM_ITEMS, NUM_USERS * 30),
    NUM_USERS,
    NUM_ITEMS,
)
INPUTS = {"users": USERS, "items": ITEMS, "seen": SEEN, "k": K}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "films"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "MAX_CONSTANT_IDS", NUM_ITEMS - 1)  # items in a file, users in the graph
        return export_retrieval(Model(), path, **INPUTS, metadata={"sampler": "dns:m=8"})


@pytest.fixture
def unverified(monkeypatch):
    """Leaves out the fresh process where a test is about something else."""
    monkeypatch.setattr(publish, "answers_of", lambda directory, requests: {})
    monkeypatch.setattr(publish, "check_answers", lambda *_: None)


@pytest.fixture
def same_process(monkeypatch):
    """Verifies with the same loader, but without the seconds that a fresh process costs."""
    monkeypatch.setattr(
        publish,
        "answers_of",
        lambda directory, requests: verify.answer(str(directory), requests),
    )


def listing(path):
    return sorted(entry.name for entry in path.iterdir())


def test_first_version_is_one_and_nothing_else_is_left(published):
    assert published.name == "1"
    assert listing(published.parent) == ["1"]
    assert published.stat().st_mode & 0o777 == 0o777 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_signature_in_a_fresh_process_ranks_exactly_as_the_live_model(published):
    # The program that export runs, asked about every user through TensorFlow Serving's loader.
    done = subprocess.run(
        [sys.executable, "-m", "tf_autosample.export.verify", str(published)],
        input=json.dumps({"serving_default": {"user_id": USERS.ids.tolist()}}),
        capture_output=True,
        text=True,
        check=True,
        cwd=os.path.dirname(os.path.dirname(tf_autosample.__file__)),
    )
    answers = json.loads(done.stdout)["serving_default"]
    model = Model()
    for user in range(NUM_USERS):
        scores = model.item_emb @ model.user_emb[user]
        scores[SEEN.items[SEEN.users == user]] = -np.inf
        ranked = np.argsort(-scores)[:K]
        assert answers["item_ids"][user] == [f" item\t{item}" for item in ranked]
        np.testing.assert_allclose(answers["scores"][user], scores[ranked], rtol=1e-5)


def test_warmup_asks_every_signature_of_the_model_by_name(published):
    from tensorflow_serving.apis import prediction_log_pb2

    file = published / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(file))
    ]
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.name for request in requests} == {"films"}
    assert sorted(request.model_spec.signature_name for request in requests) == SIGNATURES
    loaded = tf.saved_model.load(str(published))
    for request in requests:
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        answer = loaded.signatures[request.model_spec.signature_name](**inputs)
        assert len(answer) >= 2  # with one output, REST answers have another form


def test_metadata_says_what_was_exported(published):
    found = json.loads((published / "assets.extra" / "metadata.json").read_text())
    assert found["versions"] == {
        "tf_autosample": tf_autosample.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    assert found["data"] == {"users": 40, "items": 300, "interactions": len(SEEN)}
    assert found["ids"] == {"users": "str", "items": "str"}
    assert found["index"] == {"name": "exact", "recall": 1.0}
    assert (found["k"], found["exclude_seen"]) == (6, True)
    assert found["signatures"] == SIGNATURES
    assert found["training"] == {"sampler": "dns:m=8"}


def test_tables_are_variables_and_long_vocabularies_files(published):
    largest = max(USERS.ids.nbytes, Model().item_emb.nbytes)
    assert (published / "variables" / "variables.data-00000-of-00001").stat().st_size > largest
    assert listing(published / "assets") == ["item_ids.txt"]


def test_model_that_answers_otherwise_is_not_published(tmp_path, monkeypatch, same_process):
    class Wrong(graph.RetrievalGraph):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.item_emb.assign(tf.roll(self.item_emb, 1, axis=0))

    (tmp_path / "1").mkdir()
    monkeypatch.setattr(graph, "RetrievalGraph", Wrong)
    with pytest.raises(ExportError, match="`serving_default` must answer as the live model"):
        export_retrieval(Model(), tmp_path, **INPUTS)
    assert listing(tmp_path) == ["1"]


def test_matrix_factorization_is_published(tmp_path, same_process):
    model = MatrixFactorization(NUM_USERS, NUM_ITEMS, UniformSampler(), dim=4, seed=3)
    version = export_retrieval(model, tmp_path, **INPUTS)
    signatures = tf.saved_model.load(str(version)).signatures
    found = signatures["item_embedding"](item_id=tf.constant([ITEMS.ids[7]]))
    np.testing.assert_array_equal(found["embedding"][0], model.final_embeddings()[1][7])


def test_model_that_does_not_load_is_not_published(tmp_path, monkeypatch):
    monkeypatch.setattr(
        tf.saved_model, "save", lambda graph, directory, **_: os.makedirs(directory)
    )
    with pytest.raises(ExportError, match="does not load or answer:\n(.|\n)*OSError"):
        export_retrieval(Model(), tmp_path, **INPUTS)
    assert listing(tmp_path) == []


def test_interrupted_export_leaves_the_old_version_alone(tmp_path, monkeypatch):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_text("old")

    def write_half(graph, directory, **_):
        os.makedirs(directory)
        assert os.path.basename(directory).startswith(".")  # a server reads integers only
        raise KeyboardInterrupt

    monkeypatch.setattr(tf.saved_model, "save", write_half)
    with pytest.raises(KeyboardInterrupt):
        export_retrieval(Model(), tmp_path, **INPUTS)
    assert listing(tmp_path) == ["1"]
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "old"


def test_version_follows_the_highest_integer(tmp_path, unverified):
    for name in ("3", "11", "v99", "12.5", ".tmp-77-killed"):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a file")
    assert export_retrieval(Model(), tmp_path, **INPUTS) == tmp_path / "12"


def test_staging_of_a_killed_export_is_removed_after_a_day(tmp_path, unverified):
    for name, age in {".tmp-1-old": 25 * 3600, ".tmp-1-running": 60}.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    export_retrieval(Model(), tmp_path, **INPUTS, version=5)
    assert listing(tmp_path) == [".tmp-1-running", "5"]


def test_version_that_appears_during_the_export_is_kept(tmp_path, unverified, monkeypatch):
    def other_export(*_):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_text("other")

    monkeypatch.setattr(publish, "check_answers", other_export)
    with pytest.raises(ExportError, match="appeared while this export was running"):
        export_retrieval(Model(), tmp_path, **INPUTS)
    assert listing(tmp_path) == ["1"]
    assert listing(tmp_path / "1") == ["saved_model.pb"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"version": 7}, r"`version` must not exist yet.*\[7\].*to get 8"),
        ({"version": 0}, "`version` must be "),
        ({"version": "8"}, "`version` must be "),
        ({"index": "hnsw"}, r"`index` must be one of \['exact', 'ivf'\]"),
        ({"k": 0}, "`k` must be from 1 to"),
        ({"users": ITEMS}, "`users` must hold the 40 users of the model"),
        ({"items": USERS}, "`items` must hold the 300 items of the model"),
        ({"seen": Interactions([0], [0], NUM_USERS, 9)}, "`seen` must have the id space"),
        ({"metadata": {"ndcg": float("nan")}}, "`metadata` must hold what JSON can"),
        ({"metadata": {"ndcg": np.float32(1)}}, "`metadata` must hold what JSON can"),
    ],
)
def test_wrong_argument_is_refused_before_anything_is_written(tmp_path, changes, message):
    (tmp_path / "7").mkdir()
    with pytest.raises(ValueError, match=message):
        export_retrieval(Model(), tmp_path, **INPUTS | changes)
    assert listing(tmp_path) == ["7"]


def test_diverged_model_is_refused_before_anything_is_written(tmp_path):
    model = Model()
    model.user_emb[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity for 1 of 40 users.*'Zoë 3 '"):
        export_retrieval(model, tmp_path / "new", **INPUTS)
    assert not (tmp_path / "new").exists()


def test_remote_path_is_refused():
    with pytest.raises(ValueError, match="`path` must be a local directory"):
        export_retrieval(Model(), "gs://bucket/films", **INPUTS)


def test_signatures_are_read_without_tensorflow():
    code = "import sys, tf_autosample.export.signatures; assert 'tensorflow' not in sys.modules"
    root = os.path.dirname(os.path.dirname(tf_autosample.__file__))
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)

"""What a client is told, over both protocols, by the embedded server and by the real one."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from model_server import model_server
from toy_served_model import LOWEST, save_toy_model

from tf_autosample.export.signatures import SIGNATURES
from tf_autosample.serving import (
    EmbeddedServer,
    InvalidRequest,
    ModelNotFound,
    ServingClient,
    Signature,
    SignatureNotFound,
    TensorSpec,
    VersionStatus,
)

KINDS = {"str": tf.string, "int": tf.int64}
NUMBER_OF = {"": -1, "a": 1, "b": 2, "nobody": 99, "p": 10, "q": 20, "r": 30, "s": 40, "none": 99}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    for kind, dtype in KINDS.items():
        save_toy_model(base / kind / "7", dtype)
    return {f"films_{kind}": base / kind for kind in KINDS}


@pytest.fixture(scope="module", params=["embedded", "tensorflow_model_server"])
def ports(request, models, tmp_path_factory):
    if request.param != "embedded" and not shutil.which(request.param):
        pytest.skip("tensorflow_model_server is not on the PATH")
    if request.param == "embedded":
        with EmbeddedServer(models) as server:
            yield server.grpc_port, server.rest_port
    else:
        with model_server(models, tmp_path_factory.mktemp("config")) as ports:
            yield ports


@pytest.fixture(scope="module", params=["grpc", "rest"])
def target(request, ports):
    grpc_port, rest_port = ports
    return f"127.0.0.1:{grpc_port}" if request.param == "grpc" else f"http://127.0.0.1:{rest_port}"


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def client(target, kind):
    with ServingClient(target, model=f"films_{kind}") as client:
        yield client


@pytest.fixture(scope="module")
def ids(kind):
    """Writes names as the ids of the model."""
    return lambda *names: list(names) if kind == "str" else [NUMBER_OF[name] for name in names]


def assert_same(array, expected, dtype):
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.array(expected, dtype))


def assert_rows(rows, expected, dtype):
    """One array per row, of the lengths expected."""
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert_same(row, wanted, dtype)


@pytest.fixture(scope="module")
def id_dtype(kind):
    return object if kind == "str" else np.int64


def test_recommend_gives_the_best_unseen_items(client, ids, id_dtype):
    answer = client.recommend(ids("a", "b"))
    assert_same(answer.user_ids, ids("a", "b"), id_dtype)
    assert_rows(answer.item_ids, [ids("r", "p"), ids("r", "s")], id_dtype)
    assert_rows(answer.scores, [[2, 1], [4, 2]], np.float32)
    assert_same(answer.known_user, [True, True], bool)


def test_unknown_user_gets_the_popular_items_and_is_no_error(client, ids, id_dtype):
    answer = client.recommend(ids("nobody", "b"))
    assert_rows(answer.item_ids, [ids("s", "p"), ids("r", "s")], id_dtype)
    assert_rows(answer.scores, [[40, 30], [4, 2]], np.float32)
    assert_same(answer.known_user, [False, True], bool)


def test_recommend_with_k_excludes_nothing_by_default(client, ids, id_dtype):
    answer = client.recommend(ids("a"), k=3)
    assert_rows(answer.item_ids, [ids("r", "p", "s")], id_dtype)
    assert_rows(answer.scores, [[2, 1, 0]], np.float32)


def test_excluded_items_may_differ_in_number_between_users(client, ids, id_dtype):
    answer = client.recommend(
        ids("b", "a", "nobody"), k=2, exclude_ids=[ids("r", "s"), [], ids("s")]
    )
    assert_rows(answer.item_ids, [ids("q", "p"), ids("r", "p"), ids("p", "q")], id_dtype)
    assert_rows(answer.scores, [[1, 0], [2, 1], [30, 20]], np.float32)


def test_numpy_ids_are_taken_as_they_are(client, ids):
    answer = client.recommend(np.array(ids("a", "b")), k=1)
    assert_rows(answer.scores, [[2], [4]], np.float32)


def test_recommend_from_items_uses_the_items_given(client, ids, id_dtype):
    # (p + s) / 2 is (0.5, 1), against q 1.5 + 1, against r 1 + 4; s alone is (0, 2).
    answer = client.recommend_from_items([ids("p", "s"), ids("s"), ids("none")])
    assert_rows(answer.item_ids, [ids("r", "q"), ids("r", "q"), ids("s", "p")], id_dtype)
    assert_rows(answer.scores, [[5, 2.5], [8, 2], [40, 30]], np.float32)
    assert_same(answer.known_user, [True, True, False], bool)


def test_visitor_without_any_item_gets_the_popular_ones(client, ids, id_dtype):
    answer = client.recommend_from_items([[]])
    assert_rows(answer.item_ids, [ids("s", "p")], id_dtype)
    assert_same(answer.known_user, [False], bool)


def test_similar_items_are_nearest_first_without_the_item_itself(client, ids, id_dtype):
    answer = client.similar_items(ids("q", "none"), k=3)
    assert_same(answer.query_ids, ids("q", "none"), id_dtype)
    assert_same(answer.item_ids[0], ids("r", "p", "s"), id_dtype)
    assert_same(answer.scores[0], [10, 3, 2], np.float32)
    assert_same(answer.known_item, [True, False], bool)


def test_score_marks_what_it_does_not_know(client, ids):
    answer = client.score(ids("a", "nobody"), [ids("q", "none", "r"), ids("p")])
    assert [len(row) for row in answer.scores] == [3, 1]
    assert_same(answer.scores[0][[0, 2]], [3, 2], np.float32)
    assert_same(answer.known_user, [True, False], bool)
    assert_rows(answer.known_item, [[True, False, True], [True]], bool)


def test_embeddings_are_those_of_the_model(client, ids, id_dtype):
    users, items = client.user_embedding(ids("b", "nobody")), client.item_embedding(ids("r"))
    assert_same(users.embedding[0], [0, 1], np.float32)
    assert_same(users.known, [True, False], bool)
    assert_same(items.ids, ids("r"), id_dtype)
    assert_same(items.embedding, [[2, 4]], np.float32)
    assert_same(items.known, [True], bool)


def test_row_ends_where_the_items_that_are_left_end(client, ids, id_dtype):
    # Of the four items a has seen q, and p is left out as well; b has seen none.
    answer = client.recommend(ids("a", "b"), k=4, exclude_ids=[ids("p"), []])
    assert_rows(answer.item_ids, [ids("r", "s"), ids("r", "s", "q", "p")], id_dtype)
    assert_rows(answer.scores, [[2, 0], [4, 2, 1, 0]], np.float32)
    similar = client.similar_items(ids("q"), k=4)
    assert_rows(similar.item_ids, [ids("r", "p", "s")], id_dtype)
    assert_rows(similar.scores, [[10, 3, 2]], np.float32)


def test_raw_answer_of_predict_keeps_its_padding(client, ids):
    inputs = {"user_id": ids("a"), "exclude_ids": [ids("none")], "k": np.int32(4)}
    assert_same(client.predict(inputs, "recommend")["scores"], [[2, 1, 0, LOWEST]], np.float32)


def test_single_output_keeps_its_name_and_numbers_beyond_json(client):
    outputs = client.predict({"x": [0.25, 3e38, float("-inf"), float("nan")]}, "double")
    assert list(outputs) == ["doubled"]
    assert_same(outputs["doubled"], [0.5, np.inf, -np.inf, np.nan], np.float32)


def test_empty_batch_keeps_the_dtype_of_the_outputs(client, id_dtype):
    outputs = client.predict({"user_id": np.empty(0, "U1" if id_dtype is object else id_dtype)})
    assert_same(outputs["known_user"], [], bool)
    assert outputs["item_ids"].size == 0 and outputs["item_ids"].dtype == id_dtype
    assert outputs["scores"].size == 0 and outputs["scores"].dtype == np.float32


def test_status_says_which_version_is_available(client):
    assert client.status() == [VersionStatus(version=7, state="AVAILABLE", error="")]


def test_metadata_names_inputs_and_outputs_as_the_export_does(client, kind):
    metadata = client.metadata()
    assert metadata.version == 7 and metadata.model == f"films_{kind}"
    exported = {
        name: (signature.inputs.keys(), signature.outputs.keys())
        for name, signature in metadata.signatures.items()
        if name != "double"
    }
    assert exported == {
        name: (signature.inputs.keys(), signature.outputs.keys())
        for name, signature in SIGNATURES.items()
    }


def test_metadata_tells_dtypes_and_shapes(client, kind):
    name = {"str": "string", "int": "int64"}[kind]
    signatures = client.metadata().signatures
    assert signatures["recommend"].inputs == {
        "user_id": TensorSpec(name, (None,)),
        "exclude_ids": TensorSpec(name, (None, None)),
        "k": TensorSpec("int32", ()),
    }
    assert signatures["recommend"].outputs["known_user"] == TensorSpec("bool", (None,))
    assert signatures["double"] == Signature(
        {"x": TensorSpec("float32", (None,))}, {"doubled": TensorSpec("float32", (None,))}
    )


def test_wait_until_ready_returns_when_the_model_is_available(client):
    assert client.wait_until_ready(timeout=5) is None


def test_ids_of_the_wrong_type_are_refused_with_what_the_signature_takes(client, kind):
    wrong, takes = ([1], r"string \[\?\]") if kind == "str" else (["a"], r"int64 \[\?\]")
    with pytest.raises(InvalidRequest, match=f"'serving_default' takes user_id: {takes}"):
        client.recommend(wrong)


def test_missing_input_is_refused_with_what_the_signature_takes(client, ids):
    with pytest.raises(InvalidRequest, match=r"takes exclude_ids: .*, k: int32 \[\], user_id: "):
        client.predict({"user_id": ids("a")}, "recommend")


def test_more_items_than_there_are_is_refused(client, ids):
    with pytest.raises(InvalidRequest, match="at least k columns. Had 4, needed 5"):
        client.recommend(ids("a"), k=5)


def test_unknown_signature_is_answered_with_those_there_are(client, ids):
    with pytest.raises(SignatureNotFound, match="no signature 'rank'. Available: double, item_em"):
        client.predict({"user_id": ids("a")}, "rank")


def test_unknown_model_is_named_with_the_argument_to_mend(target):
    with ServingClient(target, model="books") as client:
        with pytest.raises(ModelNotFound, match="no model 'books'. Pass `model=`"):
            client.recommend(["a"])
        with pytest.raises(ModelNotFound):
            client.recommend(["a"], k=2)
        with pytest.raises(ModelNotFound):
            client.status()
        with pytest.raises(ModelNotFound):
            client.metadata()
        with pytest.raises(ModelNotFound):
            client.wait_until_ready(timeout=0.2)

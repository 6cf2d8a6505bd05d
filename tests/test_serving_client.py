import subprocess
import sys

import numpy as np
import pytest

from tf_autosample import serving
from tf_autosample.serving import InvalidRequest, ServingClient


@pytest.fixture(params=["127.0.0.1:9", "http://127.0.0.1:9"])
def client(request):
    """A client whose server does not matter: what is wrong is seen before anything is sent."""
    with ServingClient(request.param) as client:
        yield client


@pytest.mark.parametrize("name", serving.__all__)
def test_public_name_is_imported_and_described(name):
    assert serving.__all__ == sorted(serving.__all__)
    public = getattr(serving, name)
    assert public.__name__ == name
    assert public.__doc__ and not public.__doc__.startswith(f"{name}(")


def test_every_error_is_a_serving_error_and_stands_in_the_tree():
    tree = serving.errors.__doc__.split("\n\n")[1]
    names = [name for name in serving.__all__ if issubclass(getattr(serving, name), Exception)]
    assert [line.split()[1] for line in tree.splitlines()[1:]] == [
        *("ServerUnavailable", "DeadlineExceeded", "ModelNotFound", "SignatureNotFound"),
        *("InvalidRequest", "UnexpectedResponse", "ServerStartError"),
    ]
    assert all(issubclass(getattr(serving, name), serving.ServingError) for name in names)
    assert len(names) == 8


def test_importing_the_client_loads_no_network_library_and_no_tensorflow():
    program = (
        "import sys; from tf_autosample.serving import ServingClient, ServingError;"
        "print(*{'grpc', 'httpx', 'google.protobuf', 'tensorflow'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


@pytest.mark.parametrize("target", ["localhost", "127.0.0.1:", "ftp://there:1", "a b:1", "", ":1"])
def test_target_of_neither_form_is_refused(target):
    with pytest.raises(ValueError, match="`target` must read host:port for gRPC or http://host:po"):
        ServingClient(target)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_timeout_must_be_positive(timeout):
    with pytest.raises(ValueError, match="`timeout` must be .*> 0. Received: timeout="):
        ServingClient("127.0.0.1:9", timeout=timeout)


@pytest.mark.parametrize("one", ["42", b"42", 42])
def test_single_id_is_refused_with_the_call_to_write(client, one):
    with pytest.raises(InvalidRequest, match=rf"For one id write user_ids=\[{one!r}\]"):
        client.recommend(one)
    with pytest.raises(InvalidRequest, match=rf"for one id write \[{one!r}\]"):
        client.recommend_from_items([one])


@pytest.mark.parametrize(
    "ids", [["a", 1], [1.0], [True], [None], [["a"]], [2**63], np.array([[1, 2]]), np.array([1.5])]
)
def test_what_is_no_id_is_refused(client, ids):
    with pytest.raises(InvalidRequest, match="`item_ids` must be all strings or all integers"):
        client.similar_items(ids)


def test_no_ids_at_all_are_refused(client):
    with pytest.raises(InvalidRequest, match="`user_ids` must hold at least one id"):
        client.recommend([])
    with pytest.raises(InvalidRequest, match="`item_ids` must hold at least one list"):
        client.recommend_from_items([])


@pytest.mark.parametrize("rows", [[], [["p"]], [["p"]] * 3])
def test_lists_of_items_must_be_one_per_user(client, rows):
    with pytest.raises(
        InvalidRequest, match=rf"`exclude_ids` must hold 2 .* Received: {len(rows)}"
    ):
        client.recommend(["a", "b"], k=1, exclude_ids=rows)
    with pytest.raises(InvalidRequest, match=rf"`item_ids` must hold 2 .* Received: {len(rows)}"):
        client.score(["a", "b"], rows)


def test_ids_of_two_kinds_in_different_rows_are_refused(client):
    with pytest.raises(InvalidRequest, match="`exclude_ids` must be all strings or all integers"):
        client.recommend(["a", "b"], k=1, exclude_ids=[["p"], [10]])


@pytest.mark.parametrize("k", [0, -1, 2.5, "3", 2**31])
def test_cut_off_must_be_a_positive_integer(client, k):
    with pytest.raises(InvalidRequest, match="`k` must be a positive integer. Received: k="):
        client.recommend(["a"], k=k, exclude_ids=[["p"]])
    with pytest.raises(InvalidRequest, match="`k` must be a positive integer. Received: k="):
        client.similar_items(["p"], k=k)


def test_exclusion_without_k_is_refused(client):
    with pytest.raises(InvalidRequest, match="`exclude_ids` needs `k`"):
        client.recommend(["a"], exclude_ids=[["p"]])


@pytest.mark.parametrize("value", [[1, "a"], [[1], [1, 2]], [None], [], 1j, np.float16(1)])
def test_predict_refuses_what_has_no_dtype_of_a_server(client, value):
    with pytest.raises(InvalidRequest, match="Input 'x' cannot be sent: "):
        client.predict({"x": value})

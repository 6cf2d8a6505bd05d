import json

import pytest
import tensorflow as tf
import toy_served_model
from test_cli import run

from tf_autosample.data.vocabulary import PADDING
from tf_autosample.serving import EmbeddedServer


class Padded(toy_served_model.ToyModel):
    """Fills rows up as an export does."""

    def _top(self, scores, k):
        found = super()._top(scores, k)
        padding = tf.constant(PADDING["int" if self.dtype == tf.int64 else "str"], self.dtype)
        ids = tf.where(found["scores"] == toy_served_model.LOWEST, padding, found["item_ids"])
        return {**found, "item_ids": ids}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Models "texts" and "integers"; user a or 1 has seen one of four items."""
    base = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(toy_served_model, "ToyModel", Padded)
        for name, dtype in (("texts", tf.string), ("integers", tf.int64)):
            toy_served_model.save_toy_model(base / name / "1", dtype)
    with EmbeddedServer({name: base / name for name in ("texts", "integers")}) as server:
        yield server


@pytest.fixture
def query(server, capsys):
    """Runs the command and returns its exit code, stdout and stderr."""

    def ask(*arguments, port=server.grpc_port):
        target = f"127.0.0.1:{port}"
        code = run("query", *arguments, "--target", target)
        return code, *capsys.readouterr()

    return ask


@pytest.mark.parametrize(
    ("model", "user", "items"),
    [("texts", "a", ["r", "p", "s"]), ("integers", "1", [30, 10, 40])],
)
def test_rows_end_where_the_items_end(model, user, items, query):
    code, out, _ = query(user, "--model", model, "-k", 4)
    assert code == 0
    rows = [f"{score:>10.4f}  {item}" for score, item in zip((2, 1, 0), items, strict=True)]
    assert out.splitlines() == rows
    code, out, _ = query(user, "--model", model, "-k", 4, "--json")
    ranked = [(row["item_id"], row["score"]) for row in json.loads(out)["items"]]
    assert ranked == list(zip(items, (2.0, 1.0, 0.0), strict=True))


@pytest.mark.parametrize("typed", ["001", "+1", " 1 "])
def test_an_integer_that_is_typed_otherwise_is_asked_for_and_said(typed, query):
    code, out, err = query(typed, "--model", "integers", "-k", 2, "--json")
    assert code == 0, err
    assert json.loads(out)["user_id"] == 1
    assert f"{typed} was read as the integer 1" in err


def test_a_text_is_asked_for_as_it_is_typed(query):
    code, out, err = query("001", "--model", "texts", "-k", 2, "--json")
    assert code == 0
    assert (json.loads(out)["user_id"], json.loads(out)["known_user"]) == ("001", False)
    assert "was read" not in err


@pytest.mark.parametrize("before", [True, False])
def test_a_negative_id_needs_no_dashes_before_it(before, query):
    options = ["--model", "integers", "-k", "2", "--json"]
    code, out, _ = query(*(["-5", *options] if before else [*options, "-5"]))
    assert code == 0
    answer = json.loads(out)
    assert (answer["user_id"], answer["known_user"]) == (-5, False)
    assert [row["item_id"] for row in answer["items"]] == [40, 10]  # the most popular


@pytest.mark.parametrize("arguments", [["1", "-k", "-5"], ["1", "--modle", "texts"], ["--jsn"]])
def test_other_options_are_not_taken_for_ids(arguments, query):
    assert query(*arguments)[0] == 2


@pytest.mark.parametrize("typed", ["anna", "1.5", "²", "1_0", "9" * 20])
def test_what_is_no_integer_is_refused_for_a_model_of_integers(typed, query):
    code, _, err = query(typed, "--model", "integers")
    assert code == 2
    assert f"Received: {typed!r}" in err


def test_the_cure_for_a_model_that_is_not_served_is_an_option(query):
    code, _, err = query("1", "--model", "films")
    assert code == 2
    assert "Pass --model: " in err

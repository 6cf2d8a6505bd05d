import json
import re

import numpy as np
import pytest
from test_cli import SEARCH, run

from tf_autosample import load_model
from tf_autosample.cli.continuing import take_over
from tf_autosample.cli.runs import Run


def write_rows(path, rows, header="who;what"):
    path.write_text("\n".join([header, *(";".join(row) for row in rows)]) + "\n")
    return path


OLD_ROWS = [
    (f"u{u:02}", f"i{20 * (u % 2) + (u + 3 * k) % 20:02}") for u in range(30) for k in range(8)
]
# A user and an item that are new, which come first among all by their names, and old ones.
NEW_ROWS = [
    *(("a_new", f"i{item:02}") for item in range(6)),
    *((f"u{u:02}", "a_new") for u in range(0, 20, 2)),
    *(
        (f"u{u:02}", f"i{20 * (u % 2) + (u + 1 + 3 * k) % 20:02}")
        for u in range(5)
        for k in range(4)
    ),
]
READING = ["--separator", ";", "--user", "who", "--item", "what"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run, what goes on from it, and the files of both."""
    folder = tmp_path_factory.mktemp("from")
    old = write_rows(folder / "old.csv", OLD_ROWS)
    more = write_rows(folder / "more.csv", NEW_ROWS)
    assert run("train", "--train", old, "--out", folder / "old", *SEARCH, *READING) == 0
    assert run("train", "--from", folder / "old", "--train", more, "--out", folder / "new") == 0
    return folder


def arguments_of(path):
    return json.loads((path / "run.json").read_text())["arguments"]


def named_pairs(data, part):
    part = getattr(data, part)
    return set(zip(data.users.decode(part.users), data.items.decode(part.items), strict=True))


def test_a_run_that_goes_on_has_the_settings_of_the_first_and_its_chosen_sampler(folder):
    before, after = (arguments_of(folder / name) for name in ("old", "new"))
    chosen = json.loads((folder / "old" / "metrics.json").read_text())["sampler"]
    texts = {"uniform": "uniform", "dns8": "dns:m=8"}
    expected = {"sampler": texts[chosen], "train": str(folder / "more.csv")}
    assert after == {**before, **expected, "from": str(folder / "old")}
    assert [arm["name"] for arm in Run(folder / "new").read("search.json")["arms"]] == [chosen]


def test_old_rows_stay_in_their_parts_and_new_ones_join(folder):
    before, after = (Run(folder / name).load_data() for name in ("old", "new"))
    for part in ("train", "valid"):
        assert named_pairs(before, part) <= named_pairs(after, part)
    old = named_pairs(before, "train") | named_pairs(before, "valid")
    new = named_pairs(after, "train") | named_pairs(after, "valid")
    assert new == old | set(NEW_ROWS)
    assert not named_pairs(after, "train") & named_pairs(after, "valid")


def test_known_ids_keep_their_positions_and_new_ones_follow(folder):
    before, after = (Run(folder / name).load_data() for name in ("old", "new"))
    assert after.users.ids.tolist() == [*before.users.ids, "a_new"]
    assert after.items.ids.tolist() == [*before.items.ids, "a_new"]


def test_the_new_user_is_told_from_the_other_half_of_the_items(folder):
    model, data = load_model(folder / "new" / "model.keras"), Run(folder / "new").load_data()
    user_emb, item_emb = (emb.numpy() for emb in model.final_embeddings())
    scores = item_emb @ user_emb[data.users.encode(["a_new"])[0]]
    own = data.items.encode([f"i{item:02}" for item in range(6, 20)])  # none of them seen
    others = data.items.encode([f"i{item:02}" for item in range(20, 40)])
    assert scores[own].mean() > scores[others].mean()


def test_every_command_reads_the_run_that_goes_on(folder, capsys):
    more = write_rows(folder / "test.csv", [("a_new", "i11"), ("u03", "i37"), ("nobody", "i01")])
    assert run("evaluate", folder / "new", "--test", more, "--json") == 0
    assert json.loads(capsys.readouterr().out)["users"] == 2
    assert run("report", folder / "new") == 0


def test_a_run_goes_on_from_where_the_first_one_stopped(folder, monkeypatch):
    """Vectors of known ids at the first step are those of the first run's model."""
    seen = []

    def spy(model, beginning):
        take_over(model, beginning)
        seen.append([emb.numpy() for emb in model.final_embeddings()])
        raise KeyboardInterrupt

    monkeypatch.setattr("tf_autosample.cli.training.take_over", spy)
    more = ("--from", folder / "old", "--train", folder / "more.csv", "--sampler", "ahns,srns")
    assert run("train", *more, "--out", folder / "other") == 130
    assert not (folder / "other").exists()
    old = load_model(folder / "old" / "model.keras").final_embeddings()
    for mine, its in zip(old, seen[0], strict=True):
        np.testing.assert_array_equal(mine, its[: len(mine)])


def test_options_that_are_given_count_also_where_they_are_the_defaults(folder, tmp_path):
    more = write_rows(tmp_path / "more.csv", NEW_ROWS, "user_id;what")
    given = ("--user", "user_id", "--sampler", "uniform", "--max-epochs", 2, "--batch-size", 64)
    out = tmp_path / "run"
    assert run("train", "--from", folder / "old", "--train", more, "--out", out, *given) == 0
    arguments = arguments_of(out)
    assert (arguments["user"], arguments["item"]) == ("user_id", "what")
    assert (arguments["sampler"], arguments["max_epochs"], arguments["dim"]) == ("uniform", 2, 8)
    assert run("train", "--from", folder / "old", "--train", more, "--out", out, *given) == 2
    resumed = ("--from", folder / "old", "--train", more, "--out", out, *given, "--resume")
    assert run("train", *resumed) == 0


def test_a_pair_that_was_held_out_is_not_trained_on_later(folder, tmp_path, capsys):
    data = Run(folder / "old").load_data()
    held_out = sorted(named_pairs(data, "valid"))[:3]
    more = write_rows(tmp_path / "more.csv", [*held_out, ("u01", "i00")])
    out = tmp_path / "run"
    given = ("--from", folder / "old", "--train", more, "--out", out, "--max-epochs", 1)
    assert run("train", *given) == 0
    after = Run(out).load_data()
    assert not set(held_out) & named_pairs(after, "train")
    assert Run(out).read("run.json")["counts"]["in another part before"] == {"rows": 3}
    assert ("u01", "i00") in named_pairs(after, "train")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--dim", "8"), "must be left out with `--from`.* Received: `--dim`"),
        (("--core", "2", "--model", "mf"), "Received: `--core`, `--model`"),
        (("--sampler", "nonsense"), "A sampler must be"),
    ],
)
def test_what_a_run_has_settled_is_refused_in_one_sentence(
    folder, tmp_path, capsys, given, message
):
    more = ("--from", folder / "old", "--train", folder / "more.csv", "--out", tmp_path / "run")
    assert run("train", *more, *given) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert not (tmp_path / "run").exists()


def test_from_needs_a_finished_run_and_a_file(folder, tmp_path, capsys):
    more = ("--train", folder / "more.csv", "--out", tmp_path / "run")
    assert run("train", "--from", tmp_path / "nothing", *more) == 2
    assert "must be the --out of an earlier `autosample train`" in capsys.readouterr().err
    assert run("train", "--from", folder / "old", "--out", tmp_path / "run") == 2
    assert "`--train FILE`" in capsys.readouterr().err


def test_a_graph_model_goes_on_over_the_joined_graph(folder, tmp_path):
    small = ("--max-epochs", 2, "--sampler", "uniform", "--dim", 4, "--learning-rate", 0.05)
    old = ("--train", folder / "old.csv", "--out", tmp_path / "old", "--model", "lightgcn")
    assert run("train", *old, *READING, *small) == 0
    more = ("--from", tmp_path / "old", "--train", folder / "more.csv", "--out", tmp_path / "new")
    assert run("train", *more) == 0
    model = load_model(tmp_path / "new" / "model.keras")
    assert model.graph.is_of(Run(tmp_path / "new").load_data().train)

"""What a run is told of its data: read by every later command, counted, and checked on resuming."""

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest
from test_cli import run, write_block_data

from tf_autosample.cli.data import prepare
from tf_autosample.cli.data_settings import DataSettings
from tf_autosample.cli.runs import Run
from tf_autosample.cli.settings import TrainingSettings

QUICK = ["--dim", "4", "--max-epochs", "2", "--sampler", "uniform", "--learning-rate", "0.05"]
HEADING = "who;what;stars;kind;times"
OPTIONS = [
    *("--format", "csv", "--separator", ";", "--user", "who", "--item", "what"),
    *("--rating", "stars", "--min-rating", "4", "--weight", "times", "--where", "kind=buy,rent"),
    *("--skip-bad-rows", "--skip-unknown"),
]
# What is in the files by construction: 30 users with 8 items, rated 4 or more.
TRAIN = {"rows": 262, "interactions": 240, "duplicates": 5, "filtered": 13, "bad": 4, "unknown": 0}
TEST = {"rows": 41, "interactions": 30, "duplicates": 2, "filtered": 5, "bad": 1, "unknown": 3}


def write_files(folder):
    """Train and test files with every kind of row, and only some that are kept."""
    good = [f"{user};{(user + 3 * n) % 30};4;buy;{n + 1}" for user in range(30) for n in range(8)]
    train = [
        *good,
        *(f"{user};{user};5;rent;10" for user in range(5)),  # again
        *(f"{user};19;3.5;buy;1" for user in range(7)),  # rated less
        *(f"{user};18;5;view;1" for user in range(6)),  # of another kind
        *(f"{user};;5;buy;1" for user in range(4)),  # without an item
    ]
    held = [f"{user};{(user + 1) % 30};4;rent;1" for user in range(30)]
    test = [
        *held,
        *held[:2],
        *(f"{user};2;5;view;1" for user in range(5)),
        *(f"{user};2;5;buy;1" for user in range(900, 903)),  # nobody knows them
        "3;;5;buy;1",
    ]
    for name, rows in (("train.log", train), ("test.log", test)):
        (folder / name).write_text("\n".join([HEADING, *rows]) + "\n")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A command that trains with many options of reading, without `--out`."""
    folder = tmp_path_factory.mktemp("data")
    write_files(folder)
    files = ["--train", folder / "train.log", "--test", folder / "test.log"]
    return ["train", *files, *OPTIONS, *QUICK]


@pytest.fixture(scope="module")
def trained(asked, tmp_path_factory):
    """The directory of a run of that command."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert run(*asked, "--out", out) == 0
    return out


def read(path) -> dict:
    return json.loads(path.read_text())


def test_evaluate_reads_a_file_as_its_run_did(asked, trained, capsys):
    assert run("evaluate", trained, "--test", asked[4], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    expected = read(trained / "metrics.json")["test"]
    assert {name: found[name] for name in expected} == expected
    assert (found["users"], found["interactions"], found["unknown_rows"]) == (30, 30, 3)
    assert found["counts"] == {"test": TEST}


def test_what_is_different_in_a_file_can_be_said(asked, trained, tmp_path, capsys):
    renamed = asked[4].read_text().replace("who;what", "visitor;what").replace(";", "|")
    (tmp_path / "other.log").write_text(renamed)
    changes = ["--user", "visitor", "--separator", "|", "--json"]
    assert run("evaluate", trained, "--test", tmp_path / "other.log", *changes) == 0
    expected = read(trained / "metrics.json")["test"]
    assert expected.items() <= json.loads(capsys.readouterr().out).items()


def test_evaluate_refuses_options_of_reading_where_it_reads_nothing(trained, capsys):
    assert run("evaluate", trained, "--min-rating", 3) == 2
    assert "--test FILE" in capsys.readouterr().err


def test_every_count_stands_in_the_output_in_run_json_and_in_metrics_json(
    asked, tmp_path, monkeypatch, capsys
):
    assert run(*asked, "--out", tmp_path / "run") == 0
    shown = capsys.readouterr()
    counts = {"train": TRAIN, "test": TEST}
    assert read(tmp_path / "run" / "run.json")["counts"] == counts
    assert read(tmp_path / "run" / "metrics.json")["counts"] == counts
    for source, found in counts.items():
        for name, count in found.items():
            assert f"{name} {count}" in shown.err
            line = f"counts {source} {name} "
            assert [one.split()[-1] for one in shown.out.splitlines() if one.startswith(line)] == [
                str(count)
            ]


def test_the_report_shows_the_counts_and_the_options_of_reading(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    assert run("report", tmp_path / "run") == 0
    page = (tmp_path / "run" / "report.html").read_text()
    for text in ("train: duplicates", "test: unknown", "min_rating", "kind=buy,rent"):
        assert text in page


def test_weights_of_repeated_rows_add_up_and_stay_with_the_run(trained):
    data = Run(trained).load_data()
    kept = data.known
    row = np.flatnonzero((kept.users == 3) & (kept.items == 3))
    assert kept.weights[row].tolist() == [1 + 10]
    assert kept.weights.sum() == 30 * sum(range(1, 9)) + 5 * 10


def test_every_setting_of_data_and_training_stands_in_run_json(trained):
    fields = {
        field.name
        for kind in (DataSettings, TrainingSettings)
        for field in dataclasses.fields(kind)
    }
    assert set(read(trained / "run.json")["arguments"]) == fields


def test_a_run_is_resumed_by_the_command_that_began_it(asked, trained):
    before = read(trained / "metrics.json")
    assert run(*asked, "--out", trained, "--resume") == 0
    assert {**read(trained / "metrics.json"), "seconds": 0} == {**before, "seconds": 0}


def without(command, option):
    place = command.index(option)
    return [*command[:place], *command[place + 2 :]]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (lambda command: [*command, "--min-rating", 3.9], "min_rating"),
        (lambda command: without(command, "--weight"), "weight"),
        (lambda command: without(command, "--where"), "where"),
        (lambda command: [*command, "--duplicates", "max"], "duplicates"),
        (lambda command: [*command, "--core", 2], "core"),
        (lambda command: without(command, "--test"), "test"),
    ],
)
def test_a_run_is_not_resumed_with_another_option_of_reading(
    changed, named, asked, trained, capsys
):
    before = {path.name: path.stat().st_mtime_ns for path in trained.iterdir()}
    assert run(*changed(asked), "--out", trained, "--resume") == 2
    assert f"'{named}': (" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in trained.iterdir()} == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("29;0;4;rent", "29;3;4;rent"), ("\n29;", "\n77;"), ("kind=", "kind="), (";10\n", ";11\n")],
    ids=["another test pair", "a user of another name", "nothing", "other weights"],
)
def test_files_that_changed_under_a_run_are_noticed_though_their_sizes_are_the_same(
    old, new, asked, trained, tmp_path, capsys
):
    shutil.copytree(trained, tmp_path / "run")
    contents = {path: path.read_text() for path in (asked[2], asked[4])}
    try:
        for path, content in contents.items():
            path.write_text(content.replace(old, new))
        code = run(*asked, "--out", tmp_path / "run", "--resume")
    finally:
        for path, content in contents.items():
            path.write_text(content)
    if old == new:
        assert code == 0
    else:
        assert code == 2
        assert "other data" in capsys.readouterr().err


def test_a_comparison_counts_and_is_not_resumed_with_other_options_or_data(
    asked, tmp_path, monkeypatch, capsys
):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tf_autosample.cli.comparing.train", interrupt)
    shutil.copy(asked[2], tmp_path / "train.log")
    command = ["compare", "--train", tmp_path / "train.log", *asked[3:5], *OPTIONS]
    command += ["--samplers", "uniform", "--out", tmp_path / "out"]
    assert run(*command) == 130  # the most popular items are measured by then
    content = read(tmp_path / "out" / "compare.json")
    assert content["counts"] == {"train": TRAIN, "test": TEST}
    assert run(*command, "--resume", "--core", 2) == 2
    assert "'core': (1, 2)" in capsys.readouterr().err
    renamed = (tmp_path / "train.log").read_text().replace("\n29;", "\n77;")
    (tmp_path / "train.log").write_text(renamed)
    assert run(*command, "--resume") == 2
    assert "other data" in capsys.readouterr().err


JANUARY, FEBRUARY, MARCH = 1_704_067_200, 1_706_745_600, 1_709_251_200  # of 2024, UTC


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    """A log of clicks of 20 users over three months, in disorder."""
    path = tmp_path_factory.mktemp("clicks") / "clicks.csv"
    users = range(20)
    rows = [
        *(
            (user, (user + 3 * n) % 24, JANUARY + 100 * n + user)
            for user in users
            for n in range(8)
        ),
        *((user, (user + 3) % 24, JANUARY + 5000 + user) for user in users),  # again
        *((user, (user + 3 * n + 2) % 24, FEBRUARY + user) for user in users for n in range(2)),
        *((77, n, FEBRUARY + 5) for n in range(3)),  # new in February
        *((user, user % 24, MARCH + user) for user in users),  # clicked in January
        *((user, (user + 8) % 24, MARCH + user) for user in users),
        *((user, 99, MARCH + 7) for user in range(5)),  # an item of March
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    lines = [",".join(map(str, rows[place])) for place in order]
    path.write_text("\n".join(["user_id,item_id,time", *lines]) + "\n")
    return path


def expected_parts(path):
    """The pairs of each part by a slow reference: first clicks, known users and items only."""
    first = {}
    for line in path.read_text().split()[1:]:
        user, item, time = map(int, line.split(","))
        first[user, item] = min(time, first.get((user, item), time))
    train = {pair for pair, time in first.items() if time < FEBRUARY}
    users, items = ({pair[side] for pair in train} for side in (0, 1))
    known = {pair for pair in first if pair[0] in users and pair[1] in items}
    valid = {pair for pair in known if FEBRUARY <= first[pair] < MARCH}
    return train, valid, {pair for pair in known if first[pair] >= MARCH}


def pairs(part, data):
    users, items = data.users.decode(part.users), data.items.decode(part.items)
    return set(zip(users.tolist(), items.tolist(), strict=True))


def test_one_click_log_goes_through_the_command_line(clicks, tmp_path, capsys):
    dates = ["--test-part", "2024-03-01", "--valid-part", "2024-02-01"]
    command = ["train", "--train", clicks, "--timestamp", "time", "--split", "time"]
    assert run(*command, *dates, *QUICK, "--out", tmp_path / "run", "--json") == 0
    trained = json.loads(capsys.readouterr().out)
    data = Run(tmp_path / "run").load_data()
    assert [pairs(part, data) for part in data.parts.values()] == list(expected_parts(clicks))
    counts = trained["counts"]["split"]
    assert (counts["new_users"], counts["new_items"]) == (1, 1)
    assert counts["left_out"] == 3 + 5
    assert counts["seen_again"] == 20
    assert sum(counts[name] for name in ("train", "valid", "test", "left_out")) == len(
        {tuple(line.split(",")[:2]) for line in clicks.read_text().split()[1:]}
    )
    assert data.train.timestamps.max() < FEBRUARY <= data.valid.timestamps.min()
    assert run("evaluate", tmp_path / "run", "--json") == 0
    assert trained["test"].items() <= json.loads(capsys.readouterr().out).items()


def test_what_was_recognised_in_the_data_is_said_and_recorded(
    clicks, tmp_path, monkeypatch, capsys
):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    heading, *rows = clicks.read_text().split()
    log = tmp_path / "milliseconds.csv"
    log.write_text("\n".join([heading, *(f"{row}000" for row in rows)]) + "\n")
    monkeypatch.setattr("tf_autosample.cli.comparing.train", interrupt)
    command = ["compare", "--train", log, "--timestamp", "time", "--split", "time"]
    assert run(*command, "--out", tmp_path / "out") == 130
    assert "milliseconds" in capsys.readouterr().err
    assert "milliseconds" in " ".join(read(tmp_path / "out" / "compare.json")["notes"])


@pytest.mark.parametrize("split", ["random", "last", "time"])
def test_a_split_without_parts_holds_out_its_usual_shares(split, clicks):
    data = prepare(DataSettings(train=clicks, timestamp="time", split=split), seed=1)
    log = sum(map(len, data.parts.values())) + data.counts["split"]["left_out"]
    assert log == data.counts["train"]["interactions"]
    if split == "last":
        assert np.bincount(data.test.users).max() == 1
        assert np.bincount(data.valid.users).max() == 1
    elif split == "random":
        assert len(data.test) == pytest.approx(0.2 * log, rel=0.15)
        assert len(data.valid) == pytest.approx(0.1 * log, rel=0.3)
    assert data.train.timestamps is not None


def test_a_catalogue_too_small_for_the_metrics_is_refused_in_a_sentence(tmp_path, capsys):
    data = write_block_data(tmp_path / "train.csv", num_items=18)
    assert run("train", "--train", data, "--out", tmp_path / "run", *QUICK) == 2
    assert "at least 20 items" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "movielens-100k", "--min-rating", "4"], "`--min-rating`"),
        (["--data", "movielens-100k", "--test", "LOG", "--core", "5"], "`--test`, `--core`"),
        (["--train", "LOG", "--test-part", "0.2"], "need `--split`"),
        (["--train", "LOG", "--split", "weekly"], "random, last, time"),
        (["--train", "LOG", "--split", "last", "--test", "LOG"], "`--test`"),
        (["--train", "LOG", "--split", "last"], "--timestamp COLUMN"),
        (["--train", "LOG", "--timestamp", "time", "--split", "time", "--test-part", "x"], "x"),
        (["--train", "LOG", "--split", "random", "--test-part", "1.5"], "(0, 1)"),
        (["--train", "LOG", "--where", "kind"], "COLUMN=VALUE"),
    ],
)
def test_options_of_data_that_have_no_effect_or_no_meaning_are_refused(
    arguments, message, clicks, tmp_path, capsys
):
    given = [clicks if one == "LOG" else one for one in arguments]
    assert run("train", *given, "--out", tmp_path / "run") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def fail(*arguments, **options):
    raise ValueError("at once")


def fail_unmeasured(model, search, data, settings, console):
    """As a search whose arms all diverge: it leaves a record without a curve."""
    (search.directory / "states").mkdir()
    record = {"arms": [{"name": "uniform", "curve": []}]}
    (search.directory / "search.json").write_text(json.dumps(record))
    raise ValueError("nothing measured")


@pytest.mark.parametrize("broken", [fail, fail_unmeasured])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_failed_training_leaves_nothing_that_blocks_the_next_try(
    broken, is_there, tmp_path, monkeypatch
):
    data, out = write_block_data(tmp_path / "train.csv"), tmp_path / "runs" / "one"
    if is_there:
        out.mkdir(parents=True)
        (out / "notes.txt").write_text("mine")
    command = ["train", "--train", data, "--out", out, *QUICK]
    with monkeypatch.context() as patched:
        patched.setattr("tf_autosample.cli.training._fit", broken)
        assert run(*command) == 2
    assert (tmp_path / "runs").exists() == is_there
    assert not is_there or [path.name for path in out.iterdir()] == ["notes.txt"]
    assert run(*command) == 0
    assert not is_there or (out / "notes.txt").read_text() == "mine"


def test_what_failed_after_a_sampler_was_measured_stays_and_is_gone_on_with(tmp_path, monkeypatch):
    data, out = write_block_data(tmp_path / "train.csv"), tmp_path / "run"
    command = ["train", "--train", data, "--out", out, *QUICK]
    with monkeypatch.context() as patched:
        patched.setattr("tf_autosample.cli.training.save_curves", fail)
        assert run(*command) == 2
    assert {"run.json", "search.json", "states"} <= {path.name for path in out.iterdir()}
    assert not list(out.glob(".tmp-*"))
    assert run(*command, "--resume") == 0


def test_a_failed_comparison_leaves_nothing_that_blocks_the_next_try(asked, tmp_path, monkeypatch):
    monkeypatch.setattr("tf_autosample.cli.comparing.train", fail)
    command = ["compare", *asked[1:5], *OPTIONS, "--samplers", "uniform", "--seeds", 1]
    assert run(*command, "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("train", name) for name in ("users.json", "data.npz", "states", "sample", "cost.png")),
        *(("compare", name) for name in ("report.html", "curves.png")),
    ],
)
def test_no_file_that_was_there_before_is_written_over(command, name, asked, tmp_path, capsys):
    (tmp_path / name).write_text("mine")
    given = asked[1:5] + OPTIONS
    assert run(command, *given, "--out", tmp_path) == 2
    assert name in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_demo_deletes_no_training_run(trained, capsys):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    assert run("demo", "--out", trained) == 2
    assert "Nothing was deleted" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


@pytest.mark.parametrize(
    "mine", ["notes.txt", "export/shop/1/model", "export/movielens-100k/2/model", "models/a"]
)
def test_a_demo_deletes_an_earlier_one_only_if_nothing_else_is_there(mine, tmp_path, capsys):
    from tf_autosample.cli import demo

    for name in ("demo.json", "run.json", "states/a.npz", "export/movielens-100k/1/model", mine):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text("{}")
    assert run("demo", "--out", tmp_path / "out") == 2
    assert (tmp_path / "out" / mine).exists()
    assert (tmp_path / "out" / "run.json").exists()
    (tmp_path / "out" / mine).unlink()
    for folder in sorted((tmp_path / "out").rglob("*"), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    demo.clear(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_items_without_a_training_row_are_counted_with_the_metrics(tmp_path, capsys):
    chosen = {user: [*range(user % 4, 24, 2), f"solo{user}"] for user in range(12)}
    rows = [
        f"u{user},i{item},{place}" for user in chosen for place, item in enumerate(chosen[user])
    ]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,time", *rows]) + "\n")
    command = ["train", "--train", tmp_path / "log.csv", "--timestamp", "time", "--split", "last"]
    command += ["--sampler", "uniform", "--dim", 4, "--max-epochs", 2, "--out", tmp_path / "run"]
    assert run(*command, "--json") == 0
    # The last item of every user is one that nobody else has: no test item has a training row.
    expected = {"users": 0, "interactions": 12}
    assert json.loads(capsys.readouterr().out)["untrained"] == expected
    assert run("evaluate", tmp_path / "run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["untrained"] == expected

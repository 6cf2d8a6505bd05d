import json
import shutil
import statistics

import pytest
from test_cli import SMALL, run, write_block_data

from tf_autosample.cli import comparing
from tf_autosample.cli.comparison_text import comparison_text

SAMPLERS = "uniform,dns:m=8"
NAMES = ["most popular", "uniform", "dns8", "search"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Options that name a train and a test file: each user's eighth item is test."""
    folder = tmp_path_factory.mktemp("compare")
    heading, *rows = write_block_data(folder / "all.csv").read_text().split()
    train = [row for place, row in enumerate(rows) if place % 8]
    for name, part in (("train", train), ("test", rows[::8])):
        (folder / f"{name}.csv").write_text("\n".join([heading, *part]) + "\n")
    return ["--train", folder / "train.csv", "--test", folder / "test.csv"]


@pytest.fixture(scope="module")
def asked(files):
    return ["compare", *files, *SMALL, "--samplers", SAMPLERS, "--seeds", 2]


@pytest.fixture(scope="module")
def compared(asked, tmp_path_factory):
    """The directory of a finished comparison."""
    out = tmp_path_factory.mktemp("compared")
    assert run(*asked, "--out", out) == 0
    return out


def read(out) -> dict:
    return json.loads((out / "compare.json").read_text())


def test_there_is_a_row_for_each_name_and_seed(compared):
    content = read(compared)
    assert [(row["seed"], row["name"]) for row in content["rows"]] == [
        (seed, name) for seed in (1, 2) for name in NAMES
    ]
    assert content["metric"] == "ndcg@20"
    assert content["data"]["test"] == 60
    assert content["arguments"]["samplers"] == SAMPLERS
    assert content["rows"][0]["chosen"] is None


def test_the_search_measures_what_its_choice_measures_alone(compared):
    rows = {(row["name"], row["seed"]): row for row in read(compared)["rows"]}
    for seed in (1, 2):
        searched = rows["search", seed]
        alone = rows[searched["chosen"], seed]
        for key in ("metrics", "epoch", "validation"):
            assert searched[key] == alone[key]


def test_the_history_of_each_search_is_kept(compared):
    content = read(compared)
    assert list(content["searches"]) == ["1", "2"]
    for row in content["rows"]:
        if row["name"] == "search":
            history = content["searches"][str(row["seed"])]
            assert history["winner"] == row["chosen"]
            assert row["epochs_trained"] == sum(arm["epochs"] for arm in history["arms"])


def test_a_seed_draws_another_validation_part(compared):
    checksums = [one["settings"]["data_checksum"] for one in read(compared)["searches"].values()]
    assert checksums[0] != checksums[1]


def test_a_row_is_what_train_measures(files, compared, tmp_path, capsys):
    arguments = (*files, *SMALL, "--sampler", "dns:m=8", "--seed", 2, "--json")
    assert run("train", *arguments, "--out", tmp_path / "run") == 0
    alone = json.loads(capsys.readouterr().out)
    row = next(row for row in read(compared)["rows"] if (row["name"], row["seed"]) == ("dns8", 2))
    assert row["metrics"] == alone["test"]
    assert row["epochs_trained"] == alone["epochs_trained"]


def test_a_comparison_that_was_cut_short_measures_only_what_is_missing(
    asked, compared, tmp_path, monkeypatch
):
    content = read(compared)
    done = {**content, "rows": content["rows"][:6], "searches": {"1": content["searches"]["1"]}}
    (tmp_path / "compare.json").write_text(json.dumps(done))
    trained = []

    def counted(data, settings, *rest, **options):
        trained.append((settings.sampler, settings.seed))
        return train(data, settings, *rest, **options)

    train = comparing.train
    monkeypatch.setattr(comparing, "train", counted)
    assert run(*asked, "--out", tmp_path, "--resume") == 0
    assert trained == [("dns:m=8", 2), (SAMPLERS, 2)]
    again = read(tmp_path)
    assert again["rows"][:6] == content["rows"][:6]
    for one, other in zip(again["rows"], content["rows"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def failing_after(count, monkeypatch, error=KeyboardInterrupt):
    """Lets that many samplers train, then fails."""
    train, calls = comparing.train, []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) > count:
            raise error
        return train(*arguments, **options)

    monkeypatch.setattr(comparing, "train", fail)


def test_rows_measured_before_a_failure_are_in_the_file(asked, tmp_path, monkeypatch):
    failing_after(1, monkeypatch)
    run(*asked, "--out", tmp_path / "out")
    assert [row["name"] for row in read(tmp_path / "out")["rows"]] == ["most popular", "uniform"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["compare.json"]


def test_failure_before_a_sampler_has_trained_leaves_nothing_behind(asked, tmp_path, monkeypatch):
    failing_after(0, monkeypatch, OSError)
    run(*asked, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_finished_comparison_prints_again_without_training(asked, compared, monkeypatch, capsys):
    monkeypatch.delattr(comparing, "train")
    assert run(*asked, "--out", compared, "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out) == read(compared)


def test_more_seeds_go_on_from_those_that_are_there(asked, compared, tmp_path, monkeypatch):
    def fail(data, settings, *arguments, **options):
        trained.append(settings.seed)
        raise KeyboardInterrupt

    trained = []
    monkeypatch.setattr(comparing, "train", fail)
    shutil.copytree(compared, tmp_path / "out")
    run(*asked, "--out", tmp_path / "out", "--resume", "--seeds", 3)
    assert trained == [3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((), "--resume"),
        (("--dim", 4, "--resume"), "'dim': (8, 4)"),
    ],
)
def test_a_comparison_is_not_overwritten_and_not_mixed_with_another(
    change, message, asked, compared, capsys
):
    before = read(compared)
    assert run(*asked, "--out", compared, *change) == 2
    assert message in capsys.readouterr().err
    assert read(compared) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "`--data NAME`"),
        (("--train", "FILE"), "`--test FILE`"),
        (("--train", "FILE", "--samplers", "hardest"), "hardest"),
        (("--train", "FILE", "--model", "svd"), "mf, lightgcn"),
    ],
)
def test_what_the_user_can_mend_exits_with_2_and_leaves_nothing(
    arguments, message, files, tmp_path, capsys
):
    given = [files[1] if one == "FILE" else one for one in arguments]
    assert run("compare", *given, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def hand_made(ndcg: dict[str, list[float]]) -> dict:
    """A comparison with these values per seed; recall is twice, seconds ten times as large."""
    rows = [
        {
            "name": name,
            "seed": seed,
            "metrics": {"recall@20": 2 * value, "ndcg@20": value},
            "seconds": 10 * value,
            "chosen": "dns8",
            "epoch": 3,
            "validation": value,
            "epochs_trained": 9,
        }
        for name, values in ndcg.items()
        for seed, value in enumerate(values, 1)
    ]
    return {"data": {"users": 1200}, "metric": "ndcg@20", "rows": rows}


def cells(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return [one for one in line.removeprefix(name).split("  ") if one.strip()]


def test_the_table_shows_means_deviations_and_paired_differences():
    text = comparison_text(hand_made({"uniform": [0.1, 0.2, 0.3], "search": [0.2, 0.2, 0.5]}))
    # Means 0.2 and 0.3. Differences 0.1, 0, 0.2: mean 0.1, squared deviations 0 + 0.01 + 0.01.
    deviation = statistics.stdev([0.2, 0.2, 0.5])
    assert [one.strip() for one in cells(text, "uniform")] == [
        *("0.4000 ± 0.2000", "0.2000 ± 0.1000", "+0.1000 ± 0.1000", "2.0")
    ]
    assert [one.strip() for one in cells(text, "search")] == [
        *("0.6000 ± 0.3464", f"0.3000 ± {deviation:.4f}", "2.0")
    ]


def test_one_seed_has_a_mean_and_no_deviation():
    text = comparison_text(hand_made({"uniform": [0.25], "search": [0.2]}))
    assert [one.strip() for one in cells(text, "uniform")] == ["0.5000", "0.2500", "-0.0500", "2.5"]


def test_the_choice_of_each_seed_stands_under_the_table():
    text = comparison_text(hand_made({"search": [0.2, 0.3]}))
    assert text.splitlines()[-2:] == [
        f"seed {seed}: the search chose dns8 at epoch 3 (validation {value:.4f}) after 9 epochs "
        "in all"
        for seed, value in ((1, 0.2), (2, 0.3))
    ]

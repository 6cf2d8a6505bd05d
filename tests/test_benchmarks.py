"""The benchmarks and studies run on data of a few seconds, and agree with the library."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from research.quality import read
from research.replay import read_cells
from tf_autosample import (
    AutoSample,
    LazyAdam,
    MatrixFactorization,
    RaceSearch,
    SamplerMixture,
    evaluate,
    training_batches,
)
from tf_autosample.samplers.named import parse_samplers

ROOT = Path(__file__).resolve().parent.parent
ARMS = ["uniform", "dns:m=4", "dns:m=8"]

pytestmark = pytest.mark.slow


def run(program, *arguments) -> str:
    done = subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Groups of users with tastes of their own, as an .npz like the published splits."""
    rng = np.random.default_rng(0)
    parts = {"train_user": [], "train_item": [], "test_user": [], "test_item": []}
    for user in range(120):
        items = rng.permutation(25)[:14] + 25 * (user % 3)
        for part, chosen in (("train", items[:11]), ("test", items[11:])):
            parts[f"{part}_user"] += [user] * len(chosen)
            parts[f"{part}_item"] += chosen.tolist()
    path = tmp_path_factory.mktemp("data") / "toy.npz"
    np.savez(path, **{name: np.array(values, np.int32) for name, values in parts.items()})
    return path


@pytest.fixture(scope="module")
def curves(data):
    path = data.with_name("curves.jsonl")
    for users in (1, 0.25):
        options = ("--arms", *ARMS, "--users", users, "--out", path)
        run("research.curves", "--data", data, "--seeds", 1, *options)
    return path


@pytest.mark.parametrize("strategy", [RaceSearch(), RaceSearch.fast()])
def test_replayed_search_chooses_what_a_search_in_fit_does(data, curves, strategy):
    (cell,) = read_cells(curves, ARMS)
    replayed = cell.replay(strategy)

    parts = read(str(data), 1)
    mixture = SamplerMixture(parse_samplers(",".join(ARMS)))
    model = MatrixFactorization(
        parts.train.num_users, parts.train.num_items, mixture, dim=64, seed=1
    )
    model.compile(optimizer=LazyAdam(1e-3))
    batches = training_batches(parts.train, 2048, mixture.proposal, seed=1)
    search = AutoSample(parts.valid, strategy)
    model.fit(batches, epochs=10_000, callbacks=[search], verbose=0)
    found = evaluate(model, parts.test, seen=parts.known, k=20).metrics["ndcg@20"]

    assert replayed["chosen"] == search.winner
    assert replayed["test"] == pytest.approx(found, abs=1e-6)


def test_finished_rows_are_not_run_again(data, curves):
    before = curves.read_text()
    run("research.curves", "--data", data, "--seeds", 1, "--arms", *ARMS, "--out", curves)
    assert curves.read_text() == before


def test_reproduction_runs_every_kind_of_cell(data):
    folder, out = data.parent, data.with_name("reproduction.jsonl")
    cells = ["toy-dens"]
    table = run(
        "research.reproduce", "--data", folder, "--cells", *cells, "--seeds", 1, "--out", out
    )
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["chosen_on"] for row in rows] == ["test", "validation"]
    assert all(0.2 < row["recall@20"] <= 1 for row in rows)  # 20 of 75 items at random: 0.27
    assert f"| {rows[0]['recall@20']:.4f} |" in table


SMALL = {
    "benchmarks.blend": ["--interactions", 4000, "--batch-size", 256, "--steps", 2, "--rounds", 1],
    "benchmarks.catalogue_scaling": ["--small", 300, "--large", 600, "--steps", 2, "--rounds", 1],
    "benchmarks.continue_training": ["--epochs", 2, "--seeds", 1],
    "benchmarks.data_scaling": ["--interactions", 3000, 6000],
    "benchmarks.query": ["--items", 3000, "--rounds", 1],
}


@pytest.mark.parametrize("program", SMALL)
def test_speed_benchmark_prints_its_table_and_writes_a_row_for_each_line(program, tmp_path):
    table = run(program, *SMALL[program], "--out", tmp_path / "rows.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert table.count("\n|") >= len(rows) > 1
    assert all(row["versions"]["tensorflow"] for row in rows)

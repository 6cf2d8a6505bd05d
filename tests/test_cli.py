import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tf_autosample import hardness_ladder
from tf_autosample.cli import main
from tf_autosample.cli.settings import STRATEGIES
from tf_autosample.samplers.named import parse_samplers

SMALL = ["--dim", "8", "--batch-size", "128", "--max-epochs", "8", "--learning-rate", "0.05"]
SEARCH = [*SMALL, "--sampler", "uniform,dns:m=8"]


def run(*arguments, monkeypatch=None) -> int:
    """Runs the command line in this process and returns its exit code."""
    before = sys.argv
    sys.argv = ["autosample", *map(str, arguments)]
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    finally:
        sys.argv = before
    return 0


def write_block_data(path, num_users=60, num_items=40, per_user=8):
    """Two groups of users, each with its own half of the items."""
    rng = np.random.default_rng(0)
    rows = ["user_id,item_id"]
    for user in range(num_users):
        half = user % 2 * (num_items // 2)
        for item in rng.choice(num_items // 2, per_user, replace=False) + half:
            rows.append(f"user{user},item{item}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on a small file, and the file."""
    folder = tmp_path_factory.mktemp("cli")
    data = write_block_data(folder / "train.csv")
    code = run("train", "--train", data, "--out", folder / "run", *SEARCH)
    assert code == 0
    return folder


def test_help_lists_every_command_without_loading_tensorflow():
    program = (
        "import sys; sys.argv = ['autosample', '--help']\n"
        "from tf_autosample.cli import main\n"
        "try: main()\n"
        "finally: print('tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    commands = "train compare evaluate report export serve query doctor demo"
    for command in commands.split():
        assert f"│ {command} " in done.stdout
    assert done.stdout.strip().endswith("False")


def test_train_leaves_all_that_a_run_made(trained):
    names = {path.name for path in (trained / "run").iterdir()}
    assert names == {
        "curves.png",
        "data.npz",
        "items.json",
        "metrics.json",
        "model.keras",
        "run.json",
        "search.json",
        "states",
        "users.json",
    }
    arguments = json.loads((trained / "run" / "run.json").read_text())["arguments"]
    assert (arguments["dim"], arguments["seed"]) == (8, 1)
    search = json.loads((trained / "run" / "search.json").read_text())
    assert [arm["name"] for arm in search["arms"]] == ["uniform", "dns8"]


def test_evaluate_on_the_rows_of_validation_needs_them_unseen(trained, tmp_path, capsys):
    seen = tmp_path / "seen.csv"
    seen.write_text("\n".join((trained / "train.csv").read_text().splitlines()[:5]) + "\n")
    assert run("evaluate", trained / "run", "--test", seen) == 2
    assert "seen" in capsys.readouterr().err


def test_evaluate_counts_test_rows_it_cannot_know(trained, tmp_path, capsys):
    test = tmp_path / "test.csv"
    known = {tuple(row.split(",")) for row in (trained / "train.csv").read_text().split()[1:]}
    fresh = next(item for item in range(20) if ("user0", f"item{item}") not in known)
    test.write_text(f"user_id,item_id\nuser0,item{fresh}\nnobody,item1\n")
    assert run("evaluate", trained / "run", "--test", test, "-k", "12", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["users"], result["interactions"], result["unknown_rows"]) == (1, 1, 1)
    assert result["recall@12"] == 1.0  # 12 items of the user's own half are left


def test_export_and_query_answer_with_items_of_the_users_half(trained, capsys):
    assert run("export", trained / "run", "--to", trained / "models" / "shop", "--json") == 0
    published = json.loads(capsys.readouterr().out)["published"]
    assert published == str(trained / "models" / "shop" / "1")
    from tf_autosample.serving import EmbeddedServer

    with EmbeddedServer(trained / "models" / "shop") as server:
        target = f"127.0.0.1:{server.grpc_port}"
        asked = ("query", "user3", "--model", "shop", "--target", target, "-k", 5, "--json")
        assert run(*asked) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["known_user"] is True
    assert [int(row["item_id"].removeprefix("item")) >= 20 for row in answer["items"]] == [True] * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--out", "OUT"], "`--data NAME`"),
        (["train", "--out", "OUT", "--data", "movielens-100k", "--train", "x"], "`--data NAME`"),
        (["train", "--out", "OUT", "--data", "netflix"], "movielens-100k"),
        (["train", "--out", "OUT", "--train", "FILE", "--sampler", "hardest"], "hardest"),
        (["train", "--out", "OUT", "--train", "FILE", "--sampler", "dns:q=8"], "m=NUMBER"),
        (["train", "--out", "OUT", "--train", "FILE", "--sampler", "dns,dns:m=8"], "dns8"),
        (["train", "--out", "OUT", "--train", "FILE", "--strategy", "best"], "halving"),
        (["train", "--out", "OUT", "--train", "FILE", "--sample-users", "2"], "> 0 and <= 1"),
        (["train", "--out", "OUT", "--train", "FILE", "--model", "svd"], "mf"),
        (["train", "--out", "OUT", "--train", "FILE", "--item", "sku"], "sku"),
        (["evaluate", "OUT"], "--out of an earlier `autosample train`"),
        (["export", "OUT", "--to", "OUT/m"], "--out of an earlier `autosample train`"),
        (["serve", "OUT"], "OUT"),
        (["query", "1", "--target", "127.0.0.1:1"], "autosample serve"),
    ],
)
def test_what_the_user_can_mend_exits_with_2_and_says_what(
    arguments, message, trained, tmp_path, capsys
):
    places = {"OUT": tmp_path / "out", "OUT/m": tmp_path / "m", "FILE": trained / "train.csv"}
    assert run(*[places.get(one, one) for one in arguments]) == 2
    assert message.replace("OUT", str(tmp_path / "out")) in capsys.readouterr().err


def test_a_run_is_not_overwritten_and_not_resumed_with_other_arguments(trained, capsys):
    again = ("train", "--train", trained / "train.csv", "--out", trained / "run")
    assert run(*again, *SEARCH) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(*again, *SEARCH, "--dim", "16", "--resume") == 2
    assert "'dim': (8, 16)" in capsys.readouterr().err


def test_a_training_killed_and_resumed_ends_like_one_that_was_not(trained, tmp_path):
    command = [
        *(sys.executable, "-c", "from tf_autosample.cli import main; main()", "train"),
        *("--train", str(trained / "train.csv"), "--out", str(tmp_path / "run"), *SEARCH),
    ]
    record = tmp_path / "run" / "search.json"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None:  # kill it as soon as the second arm has begun
        if record.exists() and json.loads(record.read_text())["arms"][1]["epochs"]:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.005)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "model.keras").exists()
    assert run("evaluate", tmp_path / "run") == 2
    assert run(*command[3:], "--resume") == 0

    def outcome(folder):
        search = json.loads((folder / "search.json").read_text())
        return search["winner"], [arm["curve"] for arm in search["arms"]]

    assert outcome(tmp_path / "run") == outcome(trained / "run")


@pytest.mark.parametrize("strategy", ["halving", "gradient"])
def test_a_strategy_is_chosen_by_name(strategy, trained, tmp_path):
    data = ("--train", trained / "train.csv", "--out", tmp_path / "run")
    assert run("train", *data, *SEARCH, "--max-epochs", "2", "--strategy", strategy) == 0
    search = json.loads((tmp_path / "run" / "search.json").read_text())
    assert search["winner"] in ("uniform", "dns8")
    assert search["settings"]["strategy"]["name"] == type(STRATEGIES[strategy]()).__name__


def test_a_race_on_some_users_counts_its_epochs_too(trained, tmp_path):
    data = ("--train", trained / "train.csv", "--out", tmp_path / "run")
    sample = ("--max-epochs", "2", "--sample-users", "0.5")
    assert run("train", *data, *SEARCH, *sample) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["epochs_trained"] == 2 * 2 + 2  # two arms on the sample, then the winner
    assert metrics["runner_up"]["name"] in ("uniform", "dns8")


def test_samplers_are_written_with_their_settings():
    text = "uniform,popularity:power=1,dns:m=4"
    assert [one.name for one in parse_samplers(text)] == ["uniform", "popularity1", "dns4"]


def test_auto_stands_for_eight_samplers():
    names = [one.name for one in parse_samplers("auto")]
    assert names == [
        *("uniform", "popularity", "dns8", "dns5of32", "ahns32", "mixgcf8", "mixgcf32", "dins32")
    ]


def test_ladder_stands_for_the_hardness_ladder_and_can_be_listed_with_others():
    uniform, *ladder = parse_samplers("uniform,ladder")
    assert uniform.name == "uniform"
    expected = [one.get_config() for one in hardness_ladder()]
    assert [one.get_config() for one in ladder] == expected

import json
import os

import pytest

from tf_autosample.record import SearchRecord
from tf_autosample.search import Arm, Decision


def example():
    arms = [
        Arm("dns8", (1.0, 0.0), 8, [(1, 0.1), (2, 1 / 3)], 2, 4800, 1.5, stopped=True),
        Arm("uniform", (0.0, 1.0), 1, [(1, 0.05)], 1, 2400, 0.7, dropped="too far behind"),
        Arm("0.5-dns8+0.5-uniform", (0.5, 0.5), 9),
    ]
    return SearchRecord(
        settings={"metric": "val_ndcg@20", "strategy": {"name": "RaceSearch", "growth": 1.5}},
        arms=arms,
        decisions=[
            Decision({}, "dns8", 6, "begin"),
            Decision({"uniform": "too far behind"}, None, reason="over"),
        ],
        states={"dns8": "last-dns8-2", "uniform": "last-uniform-1"},
        best_states={"dns8": "best-dns8-2", "uniform": "best-uniform-1"},
        winner="dns8",
        reason="over",
        runner_up={"name": "uniform", "paired_t": 3.25, "tie": False},
    )


def test_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "search.json"
    example().write(path)
    assert SearchRecord.read(path) == example()
    assert [one.name for one in tmp_path.iterdir()] == ["search.json"]


def test_record_names_the_metric_and_each_arms_best(tmp_path):
    path = tmp_path / "search.json"
    example().write(path)
    content = json.loads(path.read_text())
    assert content["metric"] == "val_ndcg@20"
    assert [(arm["name"], arm["best"], arm["best_epoch"]) for arm in content["arms"]] == [
        ("dns8", 1 / 3, 2),
        ("uniform", 0.05, 1),
        ("0.5-dns8+0.5-uniform", None, 0),
    ]
    assert content["arms"][0]["curve"] == [[1, 0.1], [2, 1 / 3]]
    assert content["decisions"][1] == {
        "drops": {"uniform": "too far behind"},
        "train": None,
        "until": 0,
        "reason": "over",
    }


def test_record_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "search.json"
    example().write(path)
    broken = example()
    broken.settings["patience"] = object()  # no JSON value
    with pytest.raises(TypeError):
        broken.write(path)
    assert SearchRecord.read(path) == example()


def test_write_that_is_cut_short_leaves_the_old_record(tmp_path, monkeypatch):
    path = tmp_path / "search.json"
    example().write(path)
    later = example()
    later.winner = "uniform"

    def crash(source, target):
        assert json.loads(source.read_text())["winner"] == "uniform"  # all of it, beside the old
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        later.write(path)
    assert SearchRecord.read(path).winner == "dns8"


def test_history_does_not_change_with_the_record():
    record = example()
    history = record.as_dict()
    record.arms[0].curve.append((3, 0.9))
    record.decisions[1].drops["dns8"] = "changed"
    assert len(history["arms"][0]["curve"]) == 2
    assert list(history["decisions"][1]["drops"]) == ["uniform"]


def test_record_finds_arms_by_name_and_leads_with_the_best():
    record = example()
    assert record.arm("uniform") is record.arms[1]
    assert record.leader is record.arms[0]


def test_states_of_finished_arms_are_not_live_but_their_best_weights_are():
    record = example()
    assert record.live_states == {"best-dns8-2", "best-uniform-1"}
    record.arm("dns8").stopped = False
    assert record.live_states == {"best-dns8-2", "best-uniform-1", "last-dns8-2"}


def test_search_may_be_resumed_only_with_what_it_began_with():
    record, other = example(), example()
    other.arms[0].curve, other.winner = [], None
    record.check_same_search(other)
    other.settings = other.settings | {"patience": 3}
    with pytest.raises(ValueError, match=r"with, \{'patience': None\}. Received: .*: 3\}"):
        record.check_same_search(other)
    other = example()
    other.arms[2].name = "another"
    with pytest.raises(ValueError, match="Received: {'arms': .*another"):
        record.check_same_search(other)


def test_only_a_search_that_ended_for_want_of_epochs_is_reopened():
    record = example()
    record.reopen()
    assert record == example()
    record.decisions.pop()  # the last decision was to train on
    record.reopen()
    assert (record.winner, record.reason, record.runner_up) == (None, "", None)

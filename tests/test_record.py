import json
import os

import pytest
from played_search import contender

from tf_autosample.search.arms import Arm
from tf_autosample.search.contenders import Comparison, Contender
from tf_autosample.search.record import SearchRecord
from tf_autosample.search.strategies import Decision

DNS8 = {
    "curve": [(1, 0.1), (2, 1 / 3)],
    "epochs": 2,
    "examples": 4800,
    "seconds": 1.5,
    "stopped": True,
    "state": "last-dns8-2",
    "best_state": "best-dns8-2",
}
UNIFORM = {
    "curve": [(1, 0.05)],
    "learned": [(1, {"uniform": 0.75, "dns8": 0.25})],
    "epochs": 1,
    "dropped": "too far behind",
    "state": "last-uniform-1",
    "best_state": "best-uniform-1",
}


def example():
    extra = Arm({"dns8": 0.5, "uniform": 0.5})
    return SearchRecord(
        settings={"metric": "val_ndcg@20", "strategy": {"name": "RaceSearch", "growth": 1.5}},
        arms=[
            contender({"dns8": 1.0}, ladder=("dns", 8.0), cost=8, **DNS8),
            contender({"uniform": 1.0}, **UNIFORM),
            contender({"uniform": 1.0}, learning_rate=0.1, before={"dns8": 1.0}, before_epochs=3),
            Contender(extra, is_extra=True),
        ],
        decisions=[
            Decision({}, ("dns8", "uniform"), 6, "begin"),
            Decision({"uniform": "too far behind"}, (extra.name,), 6, "enters", (extra,)),
            Decision(reason="over"),
        ],
        winner="dns8",
        reason="over",
        comparisons={"uniform": Comparison(-0.25, -0.5, 0.0, -3.25)},
        subsample=SearchRecord({"metric": "m"}, [contender({"a": 1.0}, **DNS8)], winner="a"),
    )


def test_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "search.json"
    example().write(path)
    assert SearchRecord.read(path) == example()
    assert [one.name for one in tmp_path.iterdir()] == ["search.json"]


def test_record_of_a_race_on_a_sample_is_a_record_again(tmp_path):
    example().write(tmp_path / "search.json")
    race = SearchRecord.read(tmp_path / "search.json").subsample
    assert race.arm(race.winner).best_epoch == 2
    assert json.loads((tmp_path / "search.json").read_text())["subsample"] == race.as_dict() | {
        "arms": json.loads(json.dumps([arm.as_dict() for arm in race.arms]))
    }


def test_record_names_the_metric_and_each_arms_best(tmp_path):
    path = tmp_path / "search.json"
    example().write(path)
    content = json.loads(path.read_text())
    assert content["metric"] == "val_ndcg@20"
    assert [(arm["name"], arm["best"], arm["best_epoch"]) for arm in content["arms"]] == [
        ("dns8", 1 / 3, 2),
        ("uniform", 0.05, 1),
        ("uniform lr=0.1 after=dns8*3", None, 0),
        ("0.5-dns8+0.5-uniform", None, 0),
    ]
    assert content["arms"][1]["weights"] == {"uniform": 0.75, "dns8": 0.25}  # as it has learned
    assert content["arms"][2]["learning_rate"] == 0.1
    assert content["arms"][0]["curve"] == [[1, 0.1], [2, 1 / 3]]
    assert content["decisions"][0] == {
        "drops": {},
        "train": ["dns8", "uniform"],
        "until": 6,
        "reason": "begin",
        "enter": [],
    }


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": {}, "arms": [{"name": "a"}]}'])
def test_file_that_holds_no_record_is_refused(tmp_path, content):
    path = tmp_path / "search.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"search.json` must be a search.json that this release"):
        SearchRecord.read(path)


def test_runner_up_is_the_best_of_the_others_with_the_winners_t():
    record = example()
    assert record.as_dict()["runner_up"] == {"name": "uniform", "paired_t": 3.25, "tie": False}
    record.comparisons["uniform lr=0.1 after=dns8*3"] = Comparison(-0.1, -0.3, 0.1, -1.0)
    record.arms[2].curve, record.arms[2].epochs = [(1, 0.06)], 1
    expected = {"name": "uniform lr=0.1 after=dns8*3", "paired_t": 1.0, "tie": True}
    assert record.as_dict()["runner_up"] == expected
    record.comparisons = {}
    assert record.as_dict()["runner_up"] is None


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
    other.arms[2].arm = Arm({"uniform": 1.0}, name="another")
    with pytest.raises(ValueError, match="Received: {'arms': .*another"):
        record.check_same_search(other)


def test_arm_that_came_later_is_none_of_those_a_search_began_with():
    record, other = example(), example()
    assert record.arms[-1].is_extra
    other.arms.pop()
    record.check_same_search(other)
    record.arms[-1].is_extra = False
    with pytest.raises(ValueError, match="must be resumed"):
        record.check_same_search(other)


def test_arm_takes_the_place_of_the_one_with_its_name():
    record = example()
    trained = contender({"uniform": 1.0}, epochs=7)
    record.replace(trained)
    assert record.arms[1] is trained
    assert len(record.arms) == 4


def test_only_a_search_that_ended_for_want_of_epochs_is_reopened():
    record = example()
    record.reopen()
    assert record == example()
    record.decisions.pop()  # the last decision was to train on
    record.reopen()
    assert (record.winner, record.reason, record.comparisons) == (None, "", {})


def test_resuming_notices_an_arm_of_the_same_name_with_other_settings():
    began = SearchRecord({"metric": "m"}, [contender({"dns8": 1.0}, l2=0.1, name="mine")])
    other = SearchRecord({"metric": "m"}, [contender({"dns8": 1.0}, l2=0.2, name="mine")])
    began.check_same_search(SearchRecord({"metric": "m"}, [began.arms[0].untrained()]))
    with pytest.raises(ValueError, match="must be resumed"):
        began.check_same_search(other)

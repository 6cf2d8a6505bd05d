"""Times of every writing become seconds, and what is none is never taken for one."""

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from small_files import write

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions

HEADER = "user_id,item_id,time\n"


def log_of(folder, times, name="log.csv"):
    rows = "".join(f"1,{item},{time}\n" for item, time in enumerate(times))
    return write(folder, name, HEADER + rows)


def seconds(source, **arguments):
    return read_interactions(source, timestamp="time", **arguments).interactions.timestamps.tolist()


def written(moment: datetime) -> list[str]:
    """ISO 8601 of one moment, by Python's own hand."""
    return [
        moment.isoformat(),
        moment.isoformat(" ", "milliseconds"),
        moment.isoformat().replace(".", ","),
        moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        moment.astimezone(UTC).replace(tzinfo=None).isoformat(),
        moment.strftime("%Y-%m-%d %H:%M:%S%z"),
    ]


def test_dates_agree_with_python_in_every_zone_before_and_after_1970(tmp_path):
    rng = np.random.default_rng(5)
    texts, expected = [], []
    for since, minutes in zip(rng.uniform(-3e9, 6e9, 40), rng.integers(-840, 841, 40), strict=True):
        zone = timezone(timedelta(minutes=int(minutes)))
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(since))
        found = written(moment.astimezone(zone))
        texts += found
        expected += [math.floor(moment.timestamp())] * len(found)
    assert seconds(log_of(tmp_path, [f'"{text}"' for text in texts])) == expected


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_units_are_told_by_size_from_1973_to_2100(tmp_path, factor):
    moments = [datetime(year, 6, 1, tzinfo=UTC) for year in (1973, 1999, 2026, 2099)]
    expected = [int(moment.timestamp()) for moment in moments]
    times = [moment * factor + factor // 2 for moment in expected]
    assert seconds(log_of(tmp_path, times)) == expected
    floats = pl.DataFrame({"user_id": 1, "item_id": range(4), "time": np.array(times, float)})
    assert seconds(floats) == expected


DAY = int(datetime(2014, 4, 7, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("wrong", ["", "x", "20141399", "5", "nan", str(DAY)])
@pytest.mark.parametrize("suffix", ["", "105109"])
def test_compact_dates_stay_dates_beside_a_bad_one(tmp_path, wrong, suffix):
    path = log_of(tmp_path, [wrong, f"20140407{suffix}", f"20140408{suffix}"])
    with pytest.raises(DataError, match="row 2: column 'time' must be a time"):
        seconds(path)
    start = DAY + (39_069 if suffix else 0)
    assert seconds(path, on_bad_row="skip") == [start, start + 86_400]


def test_compact_dates_of_numbers_are_dates_too():
    for dtype in (pl.Int64, pl.UInt32, pl.Float64):
        times = pl.Series([20140407, 20140408]).cast(dtype)
        frame = pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "time": times})
        assert seconds(frame) == [DAY, DAY + 86_400]


def test_seconds_of_any_beginning_that_only_sometimes_look_like_a_date_stay_seconds(tmp_path):
    times = [20_140_000, 20_140_407, 20_141_399, 20_149_999]  # one is a date
    assert seconds(log_of(tmp_path, times)) == times


@pytest.mark.parametrize("times", [["07.04.2014"] * 2 + ["2014-04-07"], ["soon"] * 3, [""] * 2])
def test_column_that_mostly_holds_no_times_is_refused_whatever_the_option(tmp_path, times):
    with pytest.raises(DataError, match="more than half of"):
        seconds(log_of(tmp_path, times), on_bad_row="skip")


def test_unit_is_told_in_each_file_and_said_for_each(tmp_path):
    first = log_of(tmp_path, [DAY * 1000], "a.csv")
    second = log_of(tmp_path, ["2014-04-08"], "b.csv")
    third = log_of(tmp_path, [DAY], "c.csv")
    data = read_interactions([first, second, third], timestamp="time")
    assert data.interactions.timestamps.tolist() == [DAY]
    assert data.interactions.last_timestamps.tolist() == [DAY + 86_400]
    assert [note.split(": ")[0] for note in data.notes] == [str(first), str(second)]


def test_file_of_which_a_filter_leaves_nothing_is_not_spoken_of(tmp_path):
    for name, event in (("a.csv", "buy"), ("b.csv", "view"), ("c.csv", "buy")):
        write(tmp_path, name, f"user_id,item_id,time,event\n1,{ord(name[0])},{DAY}000,{event}\n")
    data = read_interactions(tmp_path, timestamp="time", where={"event": "buy"})
    (note,) = data.notes
    assert note.startswith(f"{tmp_path}/a.csv and 1 more: ") and "milliseconds" in note

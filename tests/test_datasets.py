import dataclasses
import hashlib
import logging
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tf_autosample import datasets
from tf_autosample.data.datasets import movielens, sources

# Shaped like MovieLens-100K: user, item, rating, time. Item 267 is the one without a year.
ROWS = b"196\t242\t3\t881250949\n186\t267\t3\t891717742\n196\t5\t1\t878887116\n"
TITLES = {5: "Misérables, Les (1995)", 242: "Kolya (Kolja) (1996)", 267: "unknown"}


def owners_archive(path: pathlib.Path, rows: bytes = ROWS) -> pathlib.Path:
    items = [
        "242|Kolya (Kolja) (1996)|24-Jan-1997||http://example.org|0|1",
        "267|unknown||||1|0",
        "5|Misérables,  Les (1995) |01-Jan-1995||http://example.org|0|0",
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.data", rows)
        archive.writestr("ml-100k/u.item", ("\n".join(items) + "\n").encode("latin1"))
    return path


def recbole_wheel(path: pathlib.Path, rows: bytes = ROWS) -> pathlib.Path:
    items = [
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
        "242\tKolya (Kolja)\t1996\tComedy",
        "267\tunkonwn\tunkonwn\tunknown",
        "5\tMisérables, Les\t1995\tDrama Musical",
    ]
    head = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.inter", head + rows)
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.item", "\n".join(items) + "\n")
    return path


def from_owner(rows: bytes = ROWS) -> sources.Source:
    return sources.Source(
        "the owner",
        lambda folder: owners_archive(folder / "archive.zip", rows),
        movielens.read_owners_archive,
    )


def from_wheel(rows: bytes = ROWS) -> sources.Source:
    return sources.Source(
        "the wheel",
        lambda folder: recbole_wheel(folder / "a.whl", rows),
        movielens.read_recbole_wheel,
    )


def half_downloaded() -> sources.Source:
    def fetch(folder):
        whole = owners_archive(folder / "archive.zip").read_bytes()
        (folder / "half.zip").write_bytes(whole[: len(whole) // 2])
        return folder / "half.zip"

    return sources.Source("the slow owner", fetch, movielens.read_owners_archive)


def failing(error: Exception) -> sources.Source:
    def fetch(folder):
        raise error

    return sources.Source("the void", fetch, movielens.read_owners_archive)


@pytest.fixture
def offer(monkeypatch):
    """Let `load("movielens-100k")` find the small data, at the given sources only."""

    def replace(*places: sources.Source):
        dataset = dataclasses.replace(
            movielens.MOVIELENS_100K, sha256=hashlib.sha256(ROWS).hexdigest(), sources=places
        )
        monkeypatch.setitem(datasets._DATASETS, "movielens-100k", dataset)

    return replace


@pytest.mark.parametrize("source", [from_owner(), from_wheel()], ids=lambda source: source.place)
def test_both_sources_give_the_same_data(offer, tmp_path, source):
    offer(source)
    data = datasets.load("movielens-100k", cache=tmp_path)
    assert data.users.ids.tolist() == [186, 196] and data.items.ids.tolist() == [5, 242, 267]
    assert data.interactions.users.tolist() == [1, 0, 1]
    assert data.interactions.items.tolist() == [1, 2, 0]
    assert data.interactions.timestamps.tolist() == [881250949, 891717742, 878887116]
    assert data.titles.tolist() == [TITLES[item] for item in (5, 242, 267)]
    assert (data.num_skipped, data.num_filtered, data.num_unknown) == (0, 0, 0)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (failing(OSError("no route to host")), "the void: no route to host"),
        (failing(subprocess.TimeoutExpired("pip", 300)), "the void: .*timed out"),
        (half_downloaded(), "the slow owner: File is not a zip file"),
        (from_owner(ROWS.replace(b"196", b"197")), "the owner: The sha256 must be"),
        (
            dataclasses.replace(from_wheel(), extract=movielens.read_owners_archive),
            "the wheel: .*no item named",
        ),
    ],
)
def test_next_source_is_tried_and_the_failure_logged(offer, tmp_path, caplog, first, reason):
    offer(first, from_wheel())
    with caplog.at_level(logging.WARNING):
        data = datasets.load("movielens-100k", cache=tmp_path)
    assert len(data.interactions) == 3
    assert len(caplog.records) == 1
    assert caplog.records[0].name == "tf_autosample.data.datasets"
    message = caplog.records[0].getMessage()
    assert re.search(f"Could not get movielens-100k from {reason}", message)


def test_all_sources_failing_is_one_error_that_names_each_and_leaves_nothing(offer, tmp_path):
    offer(failing(OSError("no route to host")), from_owner(ROWS + ROWS))
    with pytest.raises(datasets.DownloadError) as caught:
        datasets.load("movielens-100k", cache=tmp_path / "cache")
    message = str(caught.value)
    assert "the void: no route to host" in message
    assert "the owner: The sha256 must be" in message
    assert "read_interactions(" in message
    assert list(tmp_path.iterdir()) == []


def test_cached_data_are_loaded_without_any_source(offer, tmp_path):
    offer(from_owner())
    first = datasets.load("movielens-100k", cache=tmp_path)
    offer(failing(AssertionError("fetched")))
    again = datasets.load("movielens-100k", cache=tmp_path)
    np.testing.assert_array_equal(first.interactions.items, again.interactions.items)
    assert first.titles.tolist() == again.titles.tolist()


@pytest.mark.parametrize("damage", ["cut", "garbage", "other data"])
def test_damaged_cache_is_reported_and_fetched_anew(offer, tmp_path, caplog, damage):
    offer(from_owner())
    datasets.load("movielens-100k", cache=tmp_path)
    (cached,) = tmp_path.iterdir()
    whole = cached.read_bytes()
    if damage == "cut":
        cached.write_bytes(whole[: len(whole) // 2])
    elif damage == "garbage":
        cached.write_bytes(whole[:50] + b"\xff" * 30 + whole[80:])
    else:
        with zipfile.ZipFile(cached, "w") as archive:
            archive.writestr("interactions.tsv", ROWS + ROWS)
            archive.writestr("titles.tsv", "")
    assert len(datasets.load("movielens-100k", cache=tmp_path).interactions) == 3
    assert "damaged" in caplog.text
    assert cached.stat().st_size == len(whole)


def test_files_in_the_place_of_the_cache_are_kept_under_other_names(offer, tmp_path):
    offer(from_owner())
    for content in ("my archive", "my other archive"):
        (tmp_path / "movielens-100k.zip").write_text(content)
        datasets.load("movielens-100k", cache=tmp_path)
    kept = sorted(path.read_text() for path in tmp_path.glob("*.unusable-*"))
    assert kept == ["my archive", "my other archive"]


def test_failure_while_writing_the_cache_leaves_no_file(offer, tmp_path, monkeypatch):
    archive = owners_archive(tmp_path / "archive.zip")
    offer(dataclasses.replace(from_owner(), fetch=lambda folder: archive))

    def write_half(self, name, content):
        self.fp.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", write_half)
    with pytest.raises(OSError, match="disk full"):
        datasets.load("movielens-100k", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("given", ["argument", "environment", "home"])
def test_cache_is_where_it_is_asked_to_be(offer, tmp_path, monkeypatch, given):
    offer(from_owner())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TF_AUTOSAMPLE_CACHE", raising=False)
    if given != "home":
        monkeypatch.setenv("TF_AUTOSAMPLE_CACHE", str(tmp_path / "environment"))
    datasets.load("movielens-100k", cache=tmp_path / "argument" if given == "argument" else None)
    folder = tmp_path / given if given != "home" else tmp_path / "home/.cache/tf_autosample"
    assert os.listdir(folder) == ["movielens-100k.zip"]
    assert len(list(tmp_path.rglob("*.zip"))) == 1


def test_url_is_downloaded_whole(tmp_path):
    archive = owners_archive(tmp_path / "ml-100k.zip")
    (tmp_path / "folder").mkdir()
    fetched = sources.url_download(archive.as_uri())(tmp_path / "folder")
    assert fetched.read_bytes() == archive.read_bytes()


def test_wheel_is_fetched_by_the_pip_of_this_python_without_dependencies(tmp_path, monkeypatch):
    def run(command, **_):
        assert command[0] == sys.executable and command[1:4] == ["-m", "pip", "download"]
        assert "--no-deps" in command and command[-1] == "recbole==1.2.1"
        recbole_wheel(pathlib.Path(command[command.index("--dest") + 1]) / "recbole.whl")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    fetched = sources.pip_download("recbole==1.2.1")(tmp_path)
    assert fetched == tmp_path / "recbole.whl"


def test_failing_pip_is_an_error_with_its_last_words(tmp_path, monkeypatch):
    done = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: No matching one\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(OSError, match="pip download failed: ERROR: No matching one"):
        sources.pip_download("recbole==1.2.1")(tmp_path)


def test_unknown_name_is_an_error_that_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"\['movielens-100k'\].*name='movielens'"):
        datasets.load("movielens", cache=tmp_path)


def test_every_data_set_says_whose_it_is_and_under_which_terms():
    for name, dataset in datasets.available().items():
        assert name == dataset.name and len(dataset.sha256) == 64
        assert dataset.owner and dataset.terms and dataset.citation and dataset.homepage
    movielens_100k = datasets.available()["movielens-100k"]
    assert "GroupLens" in movielens_100k.owner
    assert "commercial" in movielens_100k.terms and "redistribution" in movielens_100k.terms
    assert [source.place.split("/")[2:3] for source in movielens_100k.sources] == [
        ["files.grouplens.org"],
        [],
    ]

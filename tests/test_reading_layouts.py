"""Each layout that docs/data.md lists is read by its call and by its command there."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from small_files import gz, pairs, write
from typer.main import get_command

from tf_autosample.cli import commands  # noqa: F401  registers them
from tf_autosample.cli.app import app
from tf_autosample.cli.data_settings import DataSettings
from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "data.md"
BOOK_CROSSING = (
    '"User-ID";"ISBN";"Book-Rating"\r\n"276725";"034545104X";"0"\r\n"276726";"0155061224";"5"\r\n'
    '"276727";"\\"0330";"5"\r\n'
)


class Layout(NamedTuple):
    """A small file, and what it holds: raw pairs, seconds, weights, and rows that are not kept."""

    name: str
    content: str | bytes
    rows: list[tuple]
    times: list[int] | None = None
    weights: list[float] | None = None
    left: dict[str, int] = {}


LAYOUTS = {
    "Book-Crossing": Layout(
        "BX-Book-Ratings.csv",
        BOOK_CROSSING,
        [(276725, "034545104X"), (276726, "0155061224")],
        left={"bad": 1},
    ),
    "RecBole": Layout(
        "ml-100k.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
        "186\t302\t4.0\t891717742\n",
        [(186, 302)],
        [891717742],
        left={"filtered": 1},
    ),
    "LightGCN-PyTorch": Layout(
        "train.txt", "0 1 2\n1 2 0 5\n", [(0, 1), (0, 2), (1, 2), (1, 0), (1, 5)]
    ),
    "MovieLens 1M": Layout(
        "ratings.dat",
        "1::1193::5::978300760\n1::661::3::978302109\n",
        [(1, 1193)],
        [978300760],
        left={"filtered": 1},
    ),
    "MovieLens 100K": Layout(
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        [(196, 242), (186, 302)],
        [881250949, 891717742],
    ),
    # Five users who share five items, and a pair of a user and an item that have no other.
    "Amazon, ratings only": Layout(
        "ratings_Electronics.csv.gz",
        gz(
            "".join(
                f"A{user},013279304{item},5.0,{1365811200 + user}\n"
                for user, item in [(user, item) for user in range(5) for item in range(5)]
            )
            + "A9,0321732944,5.0,1341100800\n"
        ),
        [(f"A{user}", f"013279304{item}") for user in range(5) for item in range(5)],
        [1365811200 + user for user in range(5) for _ in range(5)],
        left={"filtered": 1},
    ),
    "RetailRocket": Layout(
        "events.csv",
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n"
        "1433222276276,599528,transaction,356475,4000\n1433221955914,1150086,addtocart,5206,\n",
        [(599528, 356475)],
        [1433222276],
        left={"filtered": 2},
    ),
    "Yoochoose": Layout(
        "yoochoose-clicks.dat",
        "1,2014-04-07T10:51:09.277Z,214536502,0\n2,2014-04-07T13:56:37.614Z,214662742,S\n"
        "1,2014-04-07T10:54:09.868Z,214536502,0\n",
        [(1, 214536502), (2, 214662742)],
        [1396867869, 1396878997],
        left={"duplicates": 1},
    ),
    "H&M": Layout(
        "transactions_train.csv",
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2018-09-20,000058a12d,0663713001,0.050830508,2\n",
        [("000058a12d", "0663713001")],
        [1537401600],
    ),
    "Last.fm 360K": Layout(
        "usersha1-artmbid-artname-plays.tsv",
        '00000c28\t3bd73256\tbetty blowtorch\t2137\n00000c29\tf2fb0ff0\tdie "Ärzte\t1099\n'
        "00000c29\t\tno id\t7\n",
        [("00000c28", "3bd73256"), ("00000c29", "f2fb0ff0")],
        weights=[2137, 1099],
        left={"bad": 1},
    ),
}
DOCUMENTED = {
    name: (call, command)
    for name, call, command in re.findall(
        r"^\| ([^|¹²³⁴]+)[¹²³⁴]? \| `(ta\..+?)` \| `autosample train (.+?)` \|$",
        PAGE.read_text("utf-8"),
        re.M,
    )
}


def by_call(name):
    return eval(DOCUMENTED[name][0], {"ta": SimpleNamespace(read_interactions=read_interactions)})


def by_command(name):
    arguments = shlex.split(DOCUMENTED[name][1])
    given = get_command(app).commands["train"].make_context("train", arguments).params
    settings = DataSettings(**{key: given[key] for key in DataSettings.__dataclass_fields__})
    return read_interactions(settings.train, core=settings.core, **settings.arguments())


@pytest.mark.parametrize("read", [by_call, by_command])
@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_reads_by_what_the_docs_say(tmp_path, monkeypatch, name, read):
    layout = LAYOUTS[name]
    write(tmp_path, layout.name, layout.content)
    monkeypatch.chdir(tmp_path)
    data = read(name)
    log = data.interactions
    assert pairs(data) == layout.rows
    assert layout.times == (None if log.timestamps is None else log.timestamps.tolist())
    assert layout.weights == (None if log.weights is None else log.weights.tolist())
    counts = {key: value for key, value in data.counts().items() if value}
    total = len(layout.rows) + sum(layout.left.values())
    assert counts == {"rows": total, "interactions": len(layout.rows), **layout.left}


def test_docs_and_these_files_are_of_the_same_layouts():
    assert list(DOCUMENTED) == list(LAYOUTS)


def test_milliseconds_of_retailrocket_are_said_in_a_note(tmp_path, monkeypatch):
    write(tmp_path, "events.csv", LAYOUTS["RetailRocket"].content)
    monkeypatch.chdir(tmp_path)
    (note,) = by_call("RetailRocket").notes
    assert "'timestamp' was read as milliseconds" in note and "2015-06-02 05:17:56" in note


def test_book_crossing_in_latin_1_says_how_to_convert_it(tmp_path):
    content = BOOK_CROSSING + '"276728";"B\xe9";"5"\r\n'
    path = write(tmp_path, "BX-Book-Ratings.csv", content.encode("latin1"))
    with pytest.raises(DataError, match="row 5 must be UTF-8 text.*iconv -f latin1 -t utf-8"):
        read_interactions(path, separator=";", user="User-ID", item="ISBN")

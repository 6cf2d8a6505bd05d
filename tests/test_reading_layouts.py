"""One call reads each layout that public data sets come in."""

import pytest
from small_files import gz, pairs, write

from tf_autosample.data.interactions import DataError
from tf_autosample.data.reading import read_interactions

BOOK_CROSSING = (
    '"User-ID";"ISBN";"Book-Rating"\r\n"276725";"034545104X";"0"\r\n"276726";"0155061224";"5"\r\n'
    '"276727";"\\"0330";"5"\r\n'
)
# Name, content, arguments, and the pairs that it holds.
LAYOUTS = {
    "Book-Crossing": (
        "BX-Book-Ratings.csv",
        BOOK_CROSSING,
        {"separator": ";", "user": "User-ID", "item": "ISBN", "on_bad_row": "skip"},
        [(276725, "034545104X"), (276726, "0155061224")],
    ),
    "RecBole": (
        "ml-100k.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
        {"rating": "rating", "timestamp": "timestamp"},
        [(196, 242)],
    ),
    "LightGCN-PyTorch": (
        "train.txt",
        "0 1 2\n1 2 0 5\n",
        {},
        [(0, 1), (0, 2), (1, 2), (1, 0), (1, 5)],
    ),
    "MovieLens 1M": (
        "ratings.dat",
        "1::1193::5::978300760\n1::661::3::978302109\n",
        {
            "separator": "::",
            "columns": ["user_id", "item_id", "rating", "timestamp"],
            "rating": "rating",
            "min_rating": 4,
            "timestamp": "timestamp",
        },
        [(1, 1193)],
    ),
    "MovieLens 100K": (
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        {"format": "tsv", "columns": ["user_id", "item_id", "rating", "timestamp"]},
        [(196, 242), (186, 302)],
    ),
    "Amazon": (
        "ratings_Electronics.csv.gz",
        gz("AKM1MP6P0OYPR,0132793040,5.0,1365811200\nA2CX7LUOHB2NDG,0321732944,5.0,1341100800\n"),
        {"columns": ["user_id", "item_id", "rating", "timestamp"], "timestamp": "timestamp"},
        [("AKM1MP6P0OYPR", "0132793040"), ("A2CX7LUOHB2NDG", "0321732944")],
    ),
    "RetailRocket": (
        "events.csv",
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n",
        {"user": "visitorid", "item": "itemid", "timestamp": "timestamp"},
        [(257597, 355908)],
    ),
    "Yoochoose": (
        "yoochoose-clicks.dat",
        "1,2014-04-07T10:51:09.277Z,214536502,0\n2,2014-04-07T13:56:37.614Z,214662742,S\n",
        {"columns": ["user_id", "timestamp", "item_id", "category"]},
        [(1, 214536502), (2, 214662742)],
    ),
    "H&M": (
        "transactions_train.csv",
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2018-09-20,000058a12d,0663713001,0.050830508,2\n",
        {"user": "customer_id", "item": "article_id"},
        [("000058a12d", "0663713001")],
    ),
    "Last.fm 360K": (
        "usersha1-artmbid-artname-plays.tsv",
        '00000c28\t3bd73256\tbetty blowtorch\t2137\n00000c29\tf2fb0ff0\tdie "Ärzte\t1099\n',
        {"columns": ["user_id", "item_id", "name", "plays"]},
        [("00000c28", "3bd73256"), ("00000c29", "f2fb0ff0")],
    ),
}


@pytest.mark.parametrize(("name", "content", "arguments", "rows"), LAYOUTS.values(), ids=LAYOUTS)
def test_layout_reads_in_one_call(tmp_path, name, content, arguments, rows):
    assert pairs(read_interactions(write(tmp_path, name, content), **arguments)) == rows


def test_book_crossing_in_latin_1_says_how_to_convert_it(tmp_path):
    content = BOOK_CROSSING + '"276728";"B\xe9";"5"\r\n'
    path = write(tmp_path, "BX-Book-Ratings.csv", content.encode("latin1"))
    with pytest.raises(DataError, match="row 5 must be UTF-8 text.*iconv -f latin1 -t utf-8"):
        read_interactions(path, separator=";", user="User-ID", item="ISBN")

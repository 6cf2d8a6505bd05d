import json
import re
from html.parser import HTMLParser

import pytest
from made_records import dns_record, made_arm, made_comparison, made_record

from tf_autosample.cli.reporting import write_report
from tf_autosample.report import comparison_files, search_files

RUN = {
    "arguments": {"data": "movielens-100k", "dim": 64, "l2": None},
    "data": {"users": 10, "items": 40, "train": 85, "density": 0.2},
    "versions": {"keras": "3.14.0"},
}
VOID = {"meta", "br", "path", "use", "rect"}


class Outline(HTMLParser):
    """Reads a page: its text, its attributes, and whether every element is closed."""

    def __init__(self, page: bytes):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []
        self.feed(page.decode())
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data.strip())


def write_run(folder, record, **files):
    folder.mkdir(exist_ok=True)
    record.write(folder / "search.json")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def page():
    """Of a race and its run, with test metrics."""
    return search_files(dns_record(), RUN, {"test": {"ndcg@20": 0.42}})["report.html"]


def learning_record():
    learned = [(1, {"a": 0.5, "b": 0.5}), (2, {"a": 0.8, "b": 0.2})]
    weights = learned[-1][1]
    mixture = made_arm("mixture", [(2, 0.2)], weights=weights, learned=learned, learns="loss")
    return made_record(mixture, made_arm("a", [(3, 0.3)], stopped=True), winner="a")


def test_page_is_well_formed_and_holds_each_part(page):
    text = Outline(page).text
    for part in (
        "Search on movielens-100k",
        "DNS with 8 candidates (dns8) won: val_ndcg@20 0.2500 at epoch 10.",
        "0.4200",
        "3.14.0",
        "8.5",  # training interactions per user
        "Leaderboard",
        "-0.0300 to -0.0100",
        "dropped at epoch 4",
    ):
        assert part in text
    assert "l2" not in text


def test_page_needs_no_script_and_no_network(page):
    assert b"<script" not in page
    links = [
        value
        for name, value in Outline(page).attributes
        if name in ("src", "href", "xlink:href") or (value and "url(" in value)
    ]
    assert links and all(value.startswith(("#", "url(#")) for value in links)


def test_names_and_reasons_are_escaped():
    arm = made_arm("<b>$x$", [(1, 0.3)], stopped=True)
    other = made_arm("c", [(1, 0.2)], dropped="<i>")
    page = search_files(made_record(arm, other, winner="<b>$x$"), {}, {})["report.html"]
    assert b"<b>" not in page and b"<i>" not in page
    assert "<b>$x$" in Outline(page).text


def test_drops_are_in_order_of_time(page):
    assert page.index(b"behind &lt;dns8&gt;") < page.index(b"over &amp; out")


def test_leaderboard_says_that_a_dropped_arm_was_not_trained_to_its_end(page):
    note = b"not what it might have reached"
    assert note in page
    arms = made_arm("a", [(1, 0.3)], stopped=True), made_arm("b", [(1, 0.1)], stopped=True)
    assert note not in search_files(made_record(*arms, winner="a"), {}, {})["report.html"]


def test_figures_of_the_page_take_the_colour_of_its_text(page):
    assert b"currentColor" in page and b"#24292f" not in page


def test_same_record_gives_the_same_page(page):
    again = search_files(dns_record(), RUN, {"test": {"ndcg@20": 0.42}})
    assert again["report.html"] == page


def test_learned_weights_have_a_figure():
    files = search_files(learning_record(), {}, {})
    assert files["weights.png"].startswith(b"\x89PNG")
    text = Outline(files["report.html"]).text
    assert "0.8 a + 0.2 b" in text and "learned by loss" in text


def test_race_on_a_sample_stands_before_the_winners_run_on_all():
    final = made_arm("dns8", [(5, 0.31), (9, 0.3)], stopped=True)
    record = made_record(final, winner="dns8", subsample=dns_record())
    text = Outline(search_files(record, {}, {})["report.html"]).text
    assert text.index("The race on a sample of the users") < text.index("The winner on all users")
    assert text.count("Leaderboard") == 1  # one arm alone is not ranked
    assert any("trained alone: val_ndcg@20 0.3100 at epoch 5" in one for one in text)


def test_comparison_shows_means_choices_and_the_first_search():
    content = made_comparison(
        {"dns8": ((0.3, 0.4), (0.5, 20.0)), "search": ((0.3, 0.5), (30.0, 30.0))},
        searches={"1": json.loads(json.dumps(dns_record().as_dict()))},
    )
    files = comparison_files(content)
    text = Outline(files["report.html"]).text
    for part in ("Comparison on movielens-100k", "0.3500 ± 0.0707", "The search of seed 1"):
        assert part in text
    assert set(files) == {"report.html", "cost.png", "curves.png"}
    assert not re.search(rb"mathdefault", files["report.html"])  # labels of the log axis


def test_comparison_without_a_finished_search_shows_its_rows():
    files = comparison_files(made_comparison({"most popular": ((0.1,), (0.01,))}))
    assert "No seed of the search is done." in Outline(files["report.html"]).text
    assert set(files) == {"report.html", "cost.png"}


def test_report_is_written_beside_the_run_and_nothing_else(tmp_path):
    folder = write_run(tmp_path / "run", dns_record(), run=RUN, metrics={"test": None})
    before = set(folder.iterdir())
    assert write_report(folder) == folder / "report.html"
    new = {path.name for path in set(folder.iterdir()) - before}
    assert new == {"report.html", "curves.png", "cost.png"}


def test_report_of_a_search_without_a_run_leaves_out_what_it_does_not_know(tmp_path):
    text = Outline(write_report(write_run(tmp_path, dns_record())).read_bytes()).text
    assert "Leaderboard" in text
    assert not {"Data", "Versions", "Test metrics of the final model"} & set(text)


def test_report_of_a_comparison_is_written(tmp_path):
    content = made_comparison({"search": ((0.3,), (1.0,))})
    (tmp_path / "compare.json").write_text(json.dumps(content))
    assert "On test, over the seeds" in Outline(write_report(tmp_path).read_bytes()).text


def test_failed_report_leaves_the_earlier_one(tmp_path):
    folder = write_run(tmp_path, made_record(made_arm("a", [])))
    (folder / "report.html").write_text("earlier")
    with pytest.raises(ValueError, match="1 arms that have no curve yet"):
        write_report(folder)
    assert {path.name for path in folder.iterdir()} == {"search.json", "report.html"}
    assert (folder / "report.html").read_text() == "earlier"


def test_directory_of_neither_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--out of an earlier `train` or `compare`"):
        write_report(tmp_path)

import math

import pytest
from made_records import made_comparison

from tf_autosample.report.comparison import comparison_sentences, difference_to
from tf_autosample.report.tables import choices, means

THREE = {
    "most popular": ((0.1, 0.1, 0.1), (1.0, 1.0, 1.0)),
    "dns8": ((0.3, 0.4, 0.5), (20.0, 20.0, 20.0)),
    "uniform": ((0.2, 0.2, 0.2), (30.0, 30.0, 30.0)),
    "search": ((0.31, 0.42, 0.53), (40.0, 25.0, 25.0)),
}


def test_difference_is_paired_by_seed():
    # The differences are 0.01, 0.02, 0.03: mean 0.02, deviation 0.01. Student's distribution of 2
    # degrees is (1 + t / sqrt(2 + t^2)) / 2, which is 0.975 at 4.303.
    found = difference_to(made_comparison(THREE), "dns8")
    assert (found.seeds, found.mean, found.deviation) == pytest.approx((3, 0.02, 0.01))
    reach = 0.95 * math.sqrt(2 / (1 - 0.95**2)) * 0.01 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((0.02 - reach, 0.02 + reach))
    assert found.is_tie


def test_difference_is_over_the_seeds_that_both_have():
    content = made_comparison(THREE)
    content["rows"] = [row for row in content["rows"] if (row["name"], row["seed"]) != ("dns8", 3)]
    found = difference_to(content, "dns8")
    assert (found.seeds, found.mean) == (2, pytest.approx(0.015))


def test_one_seed_leaves_the_interval_unknown():
    content = made_comparison({"dns8": ((0.3,), (20.0,)), "search": ((0.35,), (25.0,))})
    assert math.isinf(difference_to(content, "dns8").high)
    (row, _) = means(content).rows
    assert row[:5] == ("dns8", "1", "0.3000", "+0.0500", "–")


def test_quantile_for_many_seeds_is_students_t():
    # Of 24 degrees of freedom it is 2.0639.
    alternating = tuple(0.5 + 0.01 * (-1) ** seed for seed in range(25))
    seconds = (1.0,) * 25
    content = made_comparison({"a": ((0.5,) * 25, seconds), "search": (alternating, seconds)})
    found = difference_to(content, "a")
    quantile = (found.high - found.mean) / found.deviation * math.sqrt(25)
    assert quantile == pytest.approx(2.0639, abs=5e-5)


def test_table_of_means_puts_the_metric_first_and_marks_the_search():
    table = means(made_comparison(THREE))
    assert table.headings[2] == "ndcg@20" and table.headings[-1] == "recall@20"
    assert table.rows[1][:4] == ("dns8", "3", "0.4000 ± 0.1000", "+0.0200 ± 0.0100")
    assert table.rows[table.strong][:7] == ("search", "3", "0.4200 ± 0.1100", "–", "–", "30", "70")
    assert table.rows[0][6] == "–"  # most popular trains no epochs


def test_table_of_choices_has_a_row_per_seed():
    table = choices(made_comparison(THREE))
    assert table.rows[0] == ("1", "dns8", "38", "0.2400", "0.3100", "40")
    assert len(table.rows) == 3


def test_sentences_say_what_was_reached_chosen_and_spent():
    # Seconds: 90 in three searches; alone 3 x (20 + 30) = 150.
    assert comparison_sentences(made_comparison(THREE)) == [
        "Over 3 seeds the search reached ndcg@20 0.4200 ± 0.1100 on test.",
        "It chose dns8 in 3 of 3 seeds.",
        "The best single sampler on test is dns8 with 0.4000; the search is 0.0200 above it, "
        "within the noise of 3 seeds.",
        "A search took 30 seconds on average, 0.60 of the time of training every sampler alone to "
        "its end.",
    ]


def test_cost_is_left_out_while_a_seed_misses_a_sampler():
    content = made_comparison(THREE)
    content["rows"] = [row for row in content["rows"] if (row["name"], row["seed"]) != ("dns8", 3)]
    assert not any("on average" in one for one in comparison_sentences(content))


def test_a_clear_difference_is_more_than_chance():
    content = made_comparison(
        {"a": ((0.3, 0.4, 0.5), (1.0,) * 3), "search": ((0.2, 0.301, 0.4), (1.0,) * 3)}
    )
    assert "0.0997 below it, more than chance makes of 3 seeds." in " ".join(
        comparison_sentences(content)
    )


def test_comparison_whose_search_is_not_done_says_so():
    content = made_comparison({"dns8": ((0.3,), (20.0,))})
    assert comparison_sentences(content) == ["No seed of the search is done."]

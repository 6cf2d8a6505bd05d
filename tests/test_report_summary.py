import dataclasses

import pytest
from made_records import dns_record, made_arm, made_record

from tf_autosample.report.summary import sample_sentence, search_sentences
from tf_autosample.search.contenders import Comparison


def sentences_of(*arms, **how):
    return search_sentences(made_record(*arms, **how))


def test_winner_is_named_in_words_with_its_metric_and_epoch():
    first = search_sentences(dns_record())[0]
    assert first == "DNS with 8 candidates (dns8) won: val_ndcg@20 0.2500 at epoch 10."


def test_arm_with_a_name_of_its_own_keeps_it():
    arms = made_arm("mine", [(1, 0.3)], stopped=True), made_arm("other", [(1, 0.1)], stopped=True)
    first = sentences_of(*arms, winner="mine", ts={"other": -5.0})[0]
    assert first == "mine won: val_ndcg@20 0.3000 at epoch 1."


def test_arm_with_a_small_paired_t_is_within_noise():
    assert "dns32 (dropped at epoch 8, t = 1.3) is within noise of it." in search_sentences(
        dns_record()
    )


def test_without_a_tie_the_next_arm_is_named_with_its_distance():
    arms = made_arm("a", [(1, 0.3)], stopped=True), made_arm("b", [(1, 0.28)], stopped=True)
    found = sentences_of(*arms, winner="a", ts={"b": -4.0})
    assert "Next comes b at 0.0200 below it (95 % interval 0.0100 to 0.0300)." in found


def test_interval_of_a_single_user_is_left_out():
    arms = made_arm("a", [(1, 0.3)], stopped=True), made_arm("b", [(1, 0.28)], stopped=True)
    record = made_record(*arms, winner="a", ts={"b": -4.0})
    record.comparisons["b"] = Comparison(-0.02, -float("inf"), float("inf"), -4.0)
    assert "Next comes b at 0.0200 below it." in search_sentences(record)


def test_harder_arm_of_the_same_ladder_that_fell_is_said_to_have_overfitted():
    # From 0.20 to 0.15 is a quarter.
    found = search_sentences(dns_record())
    assert "Harder samplers over-fitted: dns32 peaked at epoch 3 and fell by 25% after." in found


@pytest.mark.parametrize(("selectivity", "called"), [(32.0, "Harder samplers"), (8.0, "Some arms")])
def test_arm_of_another_kind_that_fell_is_called_harder_if_more_selective(selectivity, called):
    arms = (
        made_arm("dns8", [(1, 0.3)], stopped=True, ladder=("dns", 8), selectivity=8.0),
        made_arm("dins", [(1, 0.2), (2, 0.1)], ladder=("dins", 32), selectivity=selectivity),
    )
    found = sentences_of(*arms, winner="dns8", ts={"dins": -4.0})
    assert f"{called} over-fitted: dins peaked at epoch 1 and fell by 50% after." in found


def test_arm_of_no_ladder_that_fell_is_not_called_harder():
    arms = (
        made_arm("a", [(1, 0.3)], stopped=True),
        made_arm("b", [(1, 0.2), (2, 0.1)], stopped=True),
    )
    found = sentences_of(*arms, winner="a", ts={"b": -4.0})
    assert "Some arms over-fitted: b peaked at epoch 1 and fell by 50% after." in found


def test_small_fall_and_the_winners_own_are_no_overfitting():
    arms = (
        made_arm("a", [(1, 0.3), (2, 0.1)], stopped=True),
        made_arm("b", [(1, 0.20), (2, 0.19)], stopped=True),
    )
    assert not any("over-fitted" in one for one in sentences_of(*arms, winner="a", ts={"b": -4.0}))


def test_cost_counts_dropped_arms_to_the_winners_epochs():
    # Trained: 4 + 20 + 8 epochs of 2 seconds; to their ends: 3 x 20.
    assert search_sentences(dns_record())[-1] == (
        "The search trained 32 epochs in 64 seconds, 0.53 of what training every arm to its end "
        "would take (estimated: dropped arms are counted to the winner's epochs)."
    )


def test_cost_of_arms_that_entered_later_is_not_what_was_saved_on():
    # (10 + 2 + 4) epochs; without the search the two first arms would have taken 2 x 10.
    arms = (
        made_arm("a", [(10, 0.3)], stopped=True),
        made_arm("b", [(2, 0.1)], dropped="behind"),
        made_arm("0.5-a+0.5-b", [(4, 0.2)], dropped="behind", is_extra=True),
    )
    assert "16 epochs in 32 seconds, 0.80 of" in sentences_of(*arms, winner="a")[-1]


def test_cost_of_training_everything_is_no_saving():
    arms = made_arm("a", [(6, 0.3)], stopped=True), made_arm("b", [(4, 0.1)], stopped=True)
    last = sentences_of(*arms, winner="a", ts={"b": -4.0})[-1]
    assert last == "The search trained 10 epochs in 20 seconds, every arm to its end."


def test_search_that_was_cut_short_says_so_and_estimates_nothing():
    arms = made_arm("a", [(6, 0.3)]), made_arm("b", [(3, 0.1)], dropped="behind")
    found = sentences_of(*arms, winner="a", reason="the 9 epochs are used up")
    assert (
        "The search ended before the winner had trained to its end: the 9 epochs are used up."
        in found
    )
    assert found[-1] == "The search trained 9 epochs in 18 seconds."


def test_saving_of_learned_weights_is_left_out():
    mixture = made_arm("mixture", [(2, 0.2)], learned=[(1, {"a": 1.0})], dropped="learned")
    arms = mixture, made_arm("a", [(4, 0.3)], stopped=True, is_extra=True)
    assert sentences_of(*arms, winner="a")[-1] == "The search trained 6 epochs in 12 seconds."


def test_dropped_arm_with_a_better_metric_is_not_hidden():
    mixture = made_arm("mixture", [(2, 0.4)], learned=[(1, {"a": 1.0})], dropped="learned")
    arms = mixture, made_arm("a", [(4, 0.3)], stopped=True, is_extra=True)
    found = sentences_of(*arms, winner="a", ts={"mixture": 5.0})
    assert "mixture had reached more, 0.4000, before it was dropped." in found
    found = sentences_of(*arms, winner="a", ts={"mixture": 1.0})
    assert "mixture had reached more, 0.4000 (within noise), before it was dropped." in found
    assert not any("Next comes" in one for one in found)


def test_single_arm_was_trained_alone():
    found = sentences_of(made_arm("uniform", [(4, 0.3)], stopped=True), winner="uniform")
    assert found == [
        "Uniform sampling (uniform) was trained alone: val_ndcg@20 0.3000 at epoch 4.",
        "It trained 4 epochs in 8.0 seconds.",
    ]


def test_unfinished_search_names_its_leader():
    found = sentences_of(made_arm("a", [(2, 0.1)]), made_arm("b", [(2, 0.2)]))
    assert found[0] == "The search is not over. b leads with val_ndcg@20 0.2000 at epoch 2."


def test_race_on_a_sample_is_told_with_its_share_of_the_interactions():
    arm = made_arm("a", [(2, 0.1)], stopped=True)
    few = dataclasses.replace(arm, examples=50)
    record = made_record(arm, winner="a", subsample=made_record(few, winner="a"))
    assert sample_sentence(record) == (
        "The race was held on a sample of the users with 25 of the 100 training interactions "
        "(25%); the winner then trained on all of them."
    )
    assert sample_sentence(made_record(arm, winner="a")) is None

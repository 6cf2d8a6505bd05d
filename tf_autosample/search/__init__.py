"""Strategies: which arms train next, which are dropped, and when the search is over.

A strategy sees the arms' validation curves and answers with a decision. It never touches a model
and keeps no state of its own, so that a search is resumed from its curves alone.
"""

from tf_autosample.search.arms import (
    Arm,
    Comparison,
    all_arms,
    choose,
    compare,
    measured_epochs,
    newcomer,
)
from tf_autosample.search.gradient import GradientSearch
from tf_autosample.search.halving import ExhaustiveSearch, HalvingSearch
from tf_autosample.search.race import RaceSearch
from tf_autosample.search.strategy import Decision, Strategy

__all__ = [
    "Arm",
    "Comparison",
    "Decision",
    "ExhaustiveSearch",
    "GradientSearch",
    "HalvingSearch",
    "RaceSearch",
    "Strategy",
    "all_arms",
    "choose",
    "compare",
    "measured_epochs",
    "newcomer",
]

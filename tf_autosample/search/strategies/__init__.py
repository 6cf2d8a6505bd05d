"""Strategies: which arms train next, which are dropped, and when the search is over.

A strategy sees the arms' validation curves and answers with a decision. It never touches a model
and keeps no state of its own, so that a search is resumed from its curves alone.
"""

from tf_autosample.search.strategies.base import Decision, Strategy
from tf_autosample.search.strategies.gradient import GradientSearch
from tf_autosample.search.strategies.halving import ExhaustiveSearch, HalvingSearch
from tf_autosample.search.strategies.race import RaceSearch

__all__ = [
    "Decision",
    "ExhaustiveSearch",
    "GradientSearch",
    "HalvingSearch",
    "RaceSearch",
    "Strategy",
]

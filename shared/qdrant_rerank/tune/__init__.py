"""Which strategy to use: many are tried on topics with judgments, and the choice is judged on topics it was made without.

from qdrant_rerank.evaluate import read_beir
from qdrant_rerank.tune import tune

topics, qrels = read_beir("scifact", split="train")
tuning = tune(executor, topics, qrels)
print(tuning.recommendation)
tuning.save("strategy.json")
"""

from __future__ import annotations

from .choice import CrossFit, Gain, choose, cross_fit, gain_of
from .configurations import (
    AtBudget,
    Ceiling,
    Configuration,
    Effort,
    Family,
    Ground,
    Learner,
    LeftOut,
    Lessons,
    Option,
    Scorer,
    Tuning,
)
from .families import Dbsf, Diverse, Feedback, Grid, Rescored, Rrf, SingleLegs, WeightedSum
from .gathering import Budget, Hit, Pool, Spent, Spread
from .learned import Learned
from .trial import is_local, recompute
from .tuner import Space, tune

__all__ = [
    "AtBudget",
    "Budget",
    "Ceiling",
    "Configuration",
    "CrossFit",
    "Dbsf",
    "Diverse",
    "Effort",
    "Family",
    "Feedback",
    "Gain",
    "Grid",
    "Ground",
    "Hit",
    "Learned",
    "Learner",
    "LeftOut",
    "Lessons",
    "Option",
    "Pool",
    "Rescored",
    "Rrf",
    "Scorer",
    "SingleLegs",
    "Space",
    "Spent",
    "Spread",
    "Tuning",
    "WeightedSum",
    "choose",
    "cross_fit",
    "gain_of",
    "is_local",
    "recompute",
    "tune",
]

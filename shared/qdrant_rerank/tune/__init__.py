"""Which strategy to use: many are tried on topics with judgments, and the choice is judged on topics it was made without.

from qdrant_rerank.evaluate import read_beir
from qdrant_rerank.tune import tune

topics, qrels = read_beir("scifact", split="train")
tuning = tune(executor, topics, qrels)
print(tuning.recommendation)
tuning.save("strategy.json")
"""

from __future__ import annotations

from .budget import Budget, Spent
from .choosing import CrossFit, Gain, choose, cross_fit, gain_of
from .families import Dbsf, Diverse, Grid, Rrf, SingleLegs, WeightedSum
from .learned import Learned
from .options import Effort, Family, Ground, Learner, Lessons, Option, Scorer
from .pools import Hit, Pool, Spread
from .recomputing import is_local, recomputed
from .rescoring import Rescored
from .spaces import Space
from .steering import Feedback
from .tuner import tune
from .tunings import AtBudget, Ceiling, Configuration, CurvePoint, LeftOut, Tuning

__all__ = [
    "AtBudget",
    "Budget",
    "Ceiling",
    "Configuration",
    "CrossFit",
    "CurvePoint",
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
    "recomputed",
    "tune",
]

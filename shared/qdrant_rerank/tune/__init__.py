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
    Learner,
    LeftOut,
    Option,
    Scorer,
    Setting,
    TrainingTopics,
    Tuning,
)
from .families import Dbsf, Diverse, Feedback, Grid, Reranked, Rrf, SingleCandidates, WeightedSum
from .gathering import Budget, Hit, Spent, Spread, TopicHits
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
    "Setting",
    "Hit",
    "Learned",
    "Learner",
    "LeftOut",
    "TrainingTopics",
    "Option",
    "TopicHits",
    "Reranked",
    "Rrf",
    "Scorer",
    "SingleCandidates",
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

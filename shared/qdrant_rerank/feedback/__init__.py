"""Relevance feedback: a few scores of a stronger model steer the next search through the whole vector space.

`RelevanceFeedback` is the strategy, `Coefficients` what it needs to know of a collection and a model, `FeedbackCandidates` its
search as a candidate among others. Fitting the coefficients is in `qdrant_rerank.learn`.
"""

from __future__ import annotations

from .coefficients import Coefficients, Provenance
from .rounds import FeedbackCandidates
from .strategy import RelevanceFeedback

__all__ = ["Coefficients", "FeedbackCandidates", "Provenance", "RelevanceFeedback"]

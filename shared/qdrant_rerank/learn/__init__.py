"""Learned ranking: trained models as formulas that Qdrant runs."""

from __future__ import annotations

from .budget import MAX_BYTES, MAX_CONDITIONS, Budget, budget
from .features import Category, Feature, FeatureLike, Features
from .from_model import formula_from_model, from_model

__all__ = [
    "MAX_BYTES",
    "MAX_CONDITIONS",
    "Budget",
    "Category",
    "Feature",
    "FeatureLike",
    "Features",
    "budget",
    "formula_from_model",
    "from_model",
]

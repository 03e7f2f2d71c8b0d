"""Names of `qdrant_rerank.tune` that tests and neighbours need and users don't.

Nothing is defined here. Who moves or renames what lies behind changes the line here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from .configurations import effort_of
from .gathering import Access, Gathering, Meter, HitsFile, PlannedSearches, key_of, leaf_depths, spreads
from .trial import BudgetSpent, ScoreBook, is_recomputable, recompute_reranking
from .configurations import reasons_of
from .trial import Serving, measure_rankings

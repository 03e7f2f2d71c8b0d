"""Names of `qdrant_rerank.tune` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .configurations import effort_of
    from .gathering import Access, Gathering, Meter, PoolFile, Wants, key_of, leaf_depths, spreads
    from .trial import BudgetSpent, ScoreBook, is_recomputable, recompute_reranking
    from .configurations import reasons_of
    from .trial import Serving, measure_rankings
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "configurations": "effort_of, reasons_of",
            "gathering": "Access, Gathering, Meter, PoolFile, Wants, key_of, leaf_depths, spreads",
            "trial": "BudgetSpent, ScoreBook, is_recomputable, recompute_reranking, Serving, measure_rankings",
        },
    )

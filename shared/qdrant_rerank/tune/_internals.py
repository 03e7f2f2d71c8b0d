"""Names of `qdrant_rerank.tune` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .configurations import effort_of as effort_of
    from .gathering import Access as Access
    from .gathering import Gathering as Gathering
    from .gathering import Meter as Meter
    from .gathering import PoolFile as PoolFile
    from .gathering import Wants as Wants
    from .gathering import key_of as key_of
    from .gathering import leaf_depths as leaf_depths
    from .gathering import spreads as spreads
    from .recomputing import BudgetSpent as BudgetSpent
    from .recomputing import ScoreBook as ScoreBook
    from .recomputing import is_recomputable as is_recomputable
    from .recomputing import recompute_reranking as recompute_reranking
    from .results import reasons_of as reasons_of
    from .trial import Serving as Serving
    from .trial import measure_rankings as measure_rankings
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "configurations": "effort_of",
            "gathering": "Access, Gathering, Meter, PoolFile, Wants, key_of, leaf_depths, spreads",
            "recomputing": "BudgetSpent, ScoreBook, is_recomputable, recompute_reranking",
            "results": "reasons_of",
            "trial": "Serving, measure_rankings",
        },
    )

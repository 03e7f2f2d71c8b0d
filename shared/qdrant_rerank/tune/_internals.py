"""Names of `qdrant_rerank.tune` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .advice import Case as Case
    from .advice import reasons_of as reasons_of
    from .budget import Meter as Meter
    from .gathering import Gathering as Gathering
    from .gathering import Wants as Wants
    from .measuring import measured as measured
    from .options import effort_of as effort_of
    from .options import filled as filled
    from .pools import key_of as key_of
    from .pools import leaf_depths as leaf_depths
    from .pools import spreads as spreads
    from .recomputing import is_recomputable as is_recomputable
    from .remembering import PoolFile as PoolFile
    from .remembering import PoolHeader as PoolHeader
    from .rescoring import BudgetSpent as BudgetSpent
    from .rescoring import ScoreBook as ScoreBook
    from .rescoring import rescored as rescored
    from .serving import Serving as Serving
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "advice": "Case, reasons_of",
            "budget": "Meter",
            "gathering": "Gathering, Wants",
            "measuring": "measured",
            "options": "effort_of, filled",
            "pools": "key_of, leaf_depths, spreads",
            "recomputing": "is_recomputable",
            "remembering": "PoolFile, PoolHeader",
            "rescoring": "BudgetSpent, ScoreBook, rescored",
            "serving": "Serving",
        },
    )

"""What Qdrant runs by itself: `Nearest`, `Fusion`, `Formula`, `Mmr`.

A new stage is a frozen dataclass with `query` (what to ask Qdrant), and what it says of itself: the vector that it
compares, its problems on a collection, the abilities that it needs of the server. `docs/extending.md` shows one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from ..strategies import Stage
    from .formula import ClientFormula, Formula
    from .fusion import Fusion
    from .mmr import Mmr
    from .nearest import Nearest, late_interaction
else:
    __getattr__ = load_lazily(
        __name__,
        {
            ".strategies": "Stage",
            "formula": "ClientFormula, Formula",
            "fusion": "Fusion",
            "mmr": "Mmr",
            "nearest": "late_interaction, Nearest",
        },
    )

__all__ = ["ClientFormula", "Formula", "Fusion", "Mmr", "Nearest", "Stage", "late_interaction"]

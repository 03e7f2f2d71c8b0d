"""What Qdrant runs by itself: `Nearest`, `Fusion`, `Formula`, `Mmr`.

A new stage is a frozen dataclass with `query` (what to ask Qdrant), and what it says of itself: the vector that it
compares, its problems on a collection, the features that it needs of the server. `docs/extending.md` shows one.
"""

from __future__ import annotations

from .formula import Formula
from .fusion import Fusion
from .late import late_interaction
from .nearest import Mmr, Nearest

__all__ = ["Formula", "Fusion", "Mmr", "Nearest", "late_interaction"]

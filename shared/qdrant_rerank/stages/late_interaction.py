"""Late interaction that loses no candidate."""

from __future__ import annotations

from typing import Final

from qdrant_client import models

from ..errors import StrategyError
from ..expressions.build import constant, divide, max_, max_sim, score
from ..expressions.nodes import Expression
from ..strategies import CANDIDATES, Stage
from .formula import Formula
from .nearest import Nearest

__all__ = ["late_interaction"]

_NOT_FOUND: Final = -1e6  # below any MaxSim, also once it is divided by the number of query tokens


def late_interaction(using: str, *candidates: Stage, limit: int | None = None, filter: models.Filter | None = None) -> Formula:
    """Candidates rescored by late interaction; those that lack the multivector come last, in the order of their own scores.

    `Nearest("colbert").over(…)` leaves them out, which is faster, and right where every point has the vector. Scores here are
    MaxSim divided by the number of query tokens (`max_sim`), between -1 and 1 for Cosine; of candidates without the vector
    below -1.5. Token vectors are taken to have length 1 at most, as ColBERT's have.

    Args:
        using: the multivector.
        candidates: what to rescore, e.g. `Nearest("dense", limit=100)`; several need names of their own, as in a formula.
        limit: as of any stage.
        filter: as of any stage.

    Raises:
        StrategyError: there are no candidates, or they can't be told apart.
    """
    if not candidates:
        raise StrategyError(f"late_interaction({using!r}) needs candidates: late_interaction({using!r}, Nearest('dense'))")
    found = sum(CANDIDATES if stage.limit is None else stage.limit for stage in candidates)
    rescored = Nearest(using, name=f"{using}: late interaction", limit=found).over(*candidates)
    lowest = constant(-1.5 - len(candidates))  # so that with each candidate's -1 to 1 it stays below MaxSim's -1
    own = sum((_squashed(candidate, using) for candidate in candidates), lowest)
    expression = max_(max_sim(using, rescored.name, default=_NOT_FOUND), own)
    return Formula(expression, limit=limit, filter=filter).over(rescored, *candidates)


def _squashed(candidate: Stage, using: str) -> Expression:
    """A candidate's score, of whatever size, between -1 and 1."""
    if candidate.title is None:
        raise StrategyError(f"late_interaction({using!r}) needs candidates with names, e.g. Nearest('dense') or name='dense'")
    own = score(candidate.title)
    return divide(own, 1.0 + abs(own), at_zero=0.0)

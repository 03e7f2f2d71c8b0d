"""What is refused of a fit's arguments, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .. import AsyncExecutor, Executor, StrategyError
from .._internals import few, is_whole
from ..errors import FitError
from ..feedback import RelevanceFeedback
from ..feedback._internals import SEEDS, same
from ..stages import Stage

__all__ = ["LEAST_QUERIES", "check_candidates", "check_executor", "check_judged", "check_queries", "check_seeds"]

LEAST_QUERIES: Final = 20


def check_executor(executor: Any, wanted: type[Executor | AsyncExecutor]) -> None:
    """Refuse an executor of the other kind, or none at all.

    Raises:
        StrategyError: so it is.
    """
    if isinstance(executor, wanted):
        return
    this, other = "fit_feedback", "afit_feedback"
    if wanted is AsyncExecutor:
        this, other = other, this
    taken = f"; {other}(…) takes it" if isinstance(executor, Executor | AsyncExecutor) else ""
    raise StrategyError(f"{this} needs an {wanted.__name__}, got {type(executor).__name__}{taken}")


def check_seeds(seeds: Any) -> None:
    """Refuse a first search that is none.

    Raises:
        StrategyError: it is neither a stage nor None.
    """
    if seeds is None or isinstance(seeds, Stage):
        return
    number = seeds if is_whole(seeds, 2) else SEEDS
    raise StrategyError(
        f"the seeds of a fit are the first search, whose limit is their number: seeds=Nearest(limit={number}); got {seeds!r}"
    )


def check_queries(texts: Iterable[str]) -> None:
    """Refuse to learn from too few queries.

    Raises:
        FitError: fewer than 20 say different things.
    """
    different = len({same(text) for text in texts})
    if different < LEAST_QUERIES:
        raise FitError(
            f"there are {different} different queries; the fit needs at least {LEAST_QUERIES}, and 50 to 200 are better"
        )


def check_candidates(strategy: RelevanceFeedback, candidates: int) -> None:
    """Refuse to learn from too few points.

    Raises:
        StrategyError: `candidates` isn't a whole number, or too small.
    """
    least = max(strategy.reads, strategy.seed_count) + 10
    if not is_whole(candidates, least):
        raise StrategyError(
            f"candidates={candidates!r} leaves too few points to learn from beside those that are scored in use: at least "
            f"{least}"
        )


def check_judged(queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]] | None) -> None:
    """Refuse judgments of other queries.

    Raises:
        StrategyError: there are judgments, but none for a query.
    """
    judged = [query for query, grades in (qrels or {}).items() if grades]
    if judged and not any(query in queries for query in judged):
        raise StrategyError(
            f"none of the {len(queries)} queries has judgments: the queries' ids are {few(list(queries))}, those of the qrels "
            f"{few(judged)}"
        )

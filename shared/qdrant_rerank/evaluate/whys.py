"""Why results are where they are, for evaluations of strategies that can be explained; asked only when wanted."""

from __future__ import annotations

from collections.abc import Callable

from .. import Executor, SearchOptions
from .._internals import CandidateHit, ResultReason
from ..stages import Stage
from .systems import Bound
from .topics import Topics

__all__ = ["why_of"]


def why_of(bound: Bound, topics: Topics, options: SearchOptions) -> Callable[[str], tuple[str, ...]] | None:
    """A function from a topic's id to one text for each result; None for strategies that can't be explained.

    Each call is a round trip or two (`Executor.explain`).
    """
    executor = bound.executor
    if not isinstance(executor, Executor) or not isinstance(bound.strategy, Stage) or options.group_by is not None:
        return None

    def why(id: str) -> tuple[str, ...]:
        topic = topics[id]
        return tuple(map(_line, executor.explain(bound.strategy, topic.query, topic.within(options)).reasons))

    return why


def _line(reason: ResultReason) -> str:
    terms = " + ".join(f"{term.text}: {term.value:.4g}" for term in reason.terms)
    candidates = ", ".join(f"{hit.candidate}: {_found(hit)}" for hit in reason.candidates)
    return f"score {reason.score:.4g}" + (f" = {terms}" if terms else "") + (f" ({candidates})" if candidates else "")


def _found(hit: CandidateHit) -> str:
    if hit.score is None:
        return "not found"
    return "found" if hit.rank is None else f"rank {hit.rank}"

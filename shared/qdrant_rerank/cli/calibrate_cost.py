"""What a fit will cost, told before it begins; and what is said if it is cut short."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from qdrant_client import models
from rich.text import Text

from .. import Executor, Query, RelevanceFeedback, SearchOptions
from ..learn import FeedbackEstimate
from ..learn._internals import LEAST_JUDGED, LEAST_QUERIES, ScoreFile, check_candidates, check_queries, duration, first_search
from .calibrate_data import Queries
from .consoles import errors_console, results_console
from .failures import warn

__all__ = ["check_fit", "cost_line", "kept_scores", "print_cost", "speed_of"]

_HANDFUL: Final = 8  # texts, to tell how long the model takes


def check_fit(
    executor: Executor,
    strategy: RelevanceFeedback,
    queries: Queries,
    candidates: int,
    filter: models.Filter | None,
    *,
    dry_run: bool,
) -> None:
    """Refuse what the fit would refuse, before its cost is told; a dry run only warns of too few queries.

    Raises:
        FitError: there are too few queries. StrategyError, PlanError: the candidates are too few, or can't be had.
    """
    check_candidates(strategy, candidates)
    target = executor.target()
    first_search(strategy.resolved(target.schema), target, candidates, filter)
    if not dry_run:
        check_queries(queries.texts.values())


def speed_of(
    executor: Executor, strategy: RelevanceFeedback, queries: Queries, filter: models.Filter | None, cache: Path | None
) -> float | None:
    """Seconds that the model takes for a text, by a handful; None if it was asked for none. Their scores are kept, too."""
    query = next(iter(queries.texts.values()))
    seeds = replace(strategy.seeds, limit=None)
    points = executor.retrieve(seeds, Query(query), SearchOptions(limit=_HANDFUL, filter=filter, with_payload=True))
    texts = [text for point in points if (text := executor.payload.content(point.payload or {}).text).strip()]
    assert executor.reranker is not None
    with closing(ScoreFile(executor.reranker, cache)) as scores:
        scores.score(query, texts)
    return scores.seconds / scores.asked if scores.asked else None


def kept_scores(executor: Executor, cache: Path | None) -> int:
    """How many scores a file already holds.

    Raises:
        FormatError: it is a file of something else.
    """
    assert executor.reranker is not None
    return 0 if cache is None else len(ScoreFile(executor.reranker, cache).known)


def cost_line(cost: FeedbackEstimate, judged: int, kept: int = 0, cache: Path | None = None) -> str:
    """What a fit takes, in one sentence.

    Args:
        cost: how much of what.
        judged: how many queries have judgments.
        kept: how many scores there are already; which of them this fit needs is known only when it has searched.
        cache: the file that holds them.
    """
    requests = f"{cost.requests} request{'' if cost.requests == 1 else 's'}"
    how_long = "" if cost.seconds is None else f", which takes it about {duration(cost.seconds)}"
    with_judgments = f" ({judged} with judgments)" if judged else ""
    more = ", three more for each that is judged" if judged >= LEAST_JUDGED else ""
    scores = "1 score" if kept == 1 else f"{kept:,} scores"
    less = f"; {cache} holds {scores}, and none of those that this fit needs is asked for again" if kept else ""
    return (
        f"{cost.queries} queries{with_judgments}: one search each{more}, in {requests} to Qdrant; the model scores up to "
        f"{cost.documents:,} texts{how_long}{less}"
    )


def print_cost(line: str, queries: Queries, *, dry_run: bool) -> None:
    """Print the line, as the result of a dry run, else beside the results; and what is too little."""
    if 0 < queries.distinct_judged < LEAST_JUDGED:
        warn(f"the judgments of {queries.distinct_judged} queries are too few and aren't used: it takes {LEAST_JUDGED}")
    if not dry_run:
        errors_console().print(Text(line, "dim"))
        return
    results_console().print(Text(line), soft_wrap=True)
    if queries.distinct < LEAST_QUERIES:
        warn(f"{queries.distinct} queries are too few: the fit needs at least {LEAST_QUERIES}, and 50 to 200 are better")

"""What is wrong with a `RelevanceFeedback`: in itself, and on a collection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from ..errors import OnError, StrategyError, did_you_mean
from ..query import Target
from ..strategies import Stage
from ..values import brief, is_whole
from .candidates import FeedbackCandidates
from .coefficients import LEAST_SEEDS, Coefficients, Mode
from .texts import text_problem

if TYPE_CHECKING:
    from .strategy import RelevanceFeedback

__all__ = ["check_coefficients", "check_kinds", "check_numbers", "problems_of"]

_FIT = "fit them to your collection and model with qdrant_rerank.learn.fit_feedback"


def check_kinds(strategy: RelevanceFeedback) -> None:
    """Refuse values of the wrong type.

    Raises:
        StrategyError: one is.
    """
    seeds, within = strategy.seeds, strategy.within
    if not isinstance(seeds, Stage):
        raise StrategyError(
            f"the seeds of RelevanceFeedback come from a stage, which Qdrant runs by itself, got {brief(seeds)}; the model "
            "reads them anyhow"
        )
    if any(_candidates(seeds)):
        raise StrategyError(f"the seeds can't come from a FeedbackCandidates, whose search they are to steer: {brief(seeds)}")
    if within is not None and (not isinstance(within, Stage) or len(list(_candidates(within))) != 1):
        raise StrategyError(
            "the within of RelevanceFeedback is a stage with one FeedbackCandidates in it, e.g. "
            f"Fusion.rrf().over(FeedbackCandidates(limit=100), Nearest('bm25', limit=100)); got {within!r}"
        )
    if strategy.using is not None and not isinstance(strategy.using, str):
        raise StrategyError(f"the name of a vector must be text, got {strategy.using!r}")
    for name, allowed in (("mode", get_args(Mode)), ("on_error", get_args(OnError)), ("native", _FLAG), ("trust", _FLAG)):
        value = getattr(strategy, name)
        if not any(value is choice or (isinstance(choice, str) and value == choice) for choice in allowed):
            listed = " or ".join(map(repr, allowed))
            hint = did_you_mean(str(value), map(str, allowed))
            raise StrategyError(f"the {name} of RelevanceFeedback is {listed}; got {value!r}{hint}")


_FLAG = (True, False)


def check_numbers(strategy: RelevanceFeedback) -> None:
    """Refuse numbers of seeds and results that make no sense.

    Raises:
        StrategyError: one doesn't.
    """
    seeds, limit = strategy.seed_count, strategy.limit
    if seeds < LEAST_SEEDS:
        raise StrategyError(
            f"RelevanceFeedback compares seeds with each other and needs at least {LEAST_SEEDS}, but {brief(strategy.seeds)} "
            f"has limit={seeds}: set it to 3 to 5"
        )
    if limit is not None and not is_whole(limit, 1):
        raise StrategyError(f"the limit of RelevanceFeedback must be a whole number of at least 1, got {limit!r}")
    if strategy.mode == "recall" and strategy.most is not None and strategy.most <= seeds:
        raise StrategyError(
            f"RelevanceFeedback scores limit={strategy.most} documents in all, so that {seeds} seeds leave none for the second "
            "search: raise limit, or take fewer seeds"
        )


def check_coefficients(strategy: RelevanceFeedback) -> None:
    """Refuse a strategy without coefficients, or with some of which nobody knows where they come from.

    Raises:
        StrategyError: so it is.
    """
    given = strategy.coefficients
    if not isinstance(given, Coefficients):
        got = "" if given is None else f", got {given!r}"
        raise StrategyError(f"RelevanceFeedback needs coefficients{got}: {_FIT}; Coefficients(1, 0, 0) is plain search")
    if given.provenance is None and not given.plain and not strategy.trust:
        raise StrategyError(
            f"{given!r} don't say what they were fitted to, and coefficients of another collection or model make results "
            f"worse: {_FIT}, or add trust=True"
        )


def problems_of(strategy: RelevanceFeedback, target: Target) -> Iterator[str]:
    """Why a resolved strategy can't run on `target`."""
    yield from _vector_problems(strategy, target)
    for part in (strategy.seeds, strategy.root):
        yield from part.problems(target)
    fitted = strategy.weights.provenance
    if fitted is None or strategy.trust or strategy.using is None:
        return
    if differing := list(fitted.differences(strategy.mode, strategy.seed_count, strategy.using, target)):
        yield (
            f"these coefficients were fitted to something else: {'; '.join(differing)}: fit them again, or use them "
            "nevertheless with trust=True"
        )
    if differs := text_problem(fitted.text, target):
        yield differs


def _vector_problems(strategy: RelevanceFeedback, target: Target) -> Iterator[str]:
    schema, using = target.schema, strategy.using
    there = f"the collection {schema.collection!r} has {schema.describe_vectors()}"
    if using is None:
        yield f"RelevanceFeedback compares one dense vector, and {there}: say which with using="
    elif using not in schema.vectors:
        yield f"no vector named {using!r}; {there}{did_you_mean(using, schema.vectors)}"
    elif schema.vectors[using].kind != "dense":
        yield (
            f"RelevanceFeedback can't compare {using!r} ({schema.vectors[using]}): only dense vectors can be shifted towards "
            f"others; {there}"
        )
    for candidate in _candidates(strategy.root):
        if candidate.using is not None and candidate.using != using:
            yield f"{candidate!r} compares another vector than the feedback is about, {using!r}: leave its using out"


def _candidates(stage: Stage) -> Iterator[FeedbackCandidates]:
    return (each for each in stage.stages() if isinstance(each, FeedbackCandidates))

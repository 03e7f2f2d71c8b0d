"""The candidates of a stage by themselves: as stages that run alone, and as the scores that a formula above reads of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .expressions.build import score
from .query import Inputs, SearchOptions
from .stages import Formula
from .steps import Points, Request
from .strategies import Stage, alone, candidate_options

__all__ = ["alone", "below", "candidate_options", "candidate_points", "candidate_requests"]


def below(root: Stage, options: SearchOptions) -> list[Stage]:
    """The stages below `root`, nearest first, each as it runs alone; `options` is that of the call to `root`."""
    return list(_below(replace(root, candidates=tuple(alone(each, options.needed, root.filter) for each in root.candidates))))


def _below(stage: Stage) -> Iterator[Stage]:
    yield from stage.candidates
    for candidate in stage.candidates:
        yield from _below(candidate)


def candidate_requests(root: Stage, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
    """The requests that show what each of the stages of `below` finds below `root`; `candidate_points` reads their answers."""
    for number, candidate in enumerate(candidates):
        own = candidate_options(candidate, options)
        if times := _times(root, number, candidate, inputs, options):
            candidate, own = Formula(score()).over(candidate), replace(own, limit=own.limit * times)
        yield candidate.request(inputs, own)


def candidate_points(
    root: Stage, candidates: Sequence[Stage], answers: Sequence[Points], inputs: Inputs, options: SearchOptions
) -> list[Points]:
    """What each candidate finds, by the answers to `candidate_requests`."""
    return [
        [point.model_copy(update={"score": -point.score}) for point in points]  # a formula turns distances around
        if _times(root, number, candidate, inputs, options) and candidate.is_distance(inputs.target.schema)
        else points
        for number, (candidate, points) in enumerate(zip(candidates, answers, strict=True))
    ]


def _times(root: Stage, number: int, candidate: Stage, inputs: Inputs, options: SearchOptions) -> int:
    """Of how many shards the points of a candidate are to be seen apart; 0 if it gives the same alone.

    Below a stage each shard has candidates of its own, as many as the limit says. A formula that is but the score shows
    those of all shards.
    """
    shards = inputs.target.schema.shards_of(options.shard_key_selector)
    if shards <= 1 or number >= len(root.candidates) or not inputs.target.capabilities.supports("formula"):
        return 0
    if isinstance(root, Formula):
        return shards
    return 1 if candidate.once_per_collection else 0

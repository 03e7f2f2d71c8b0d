"""Asking a strategy: flows that end in an `Answer` whatever happens, and count what they ask for on the way.

The counting is done on the flow, not on a client, so that it is the same for every executor, sync or async, and tells
topics apart that share a round trip.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import models

from .. import StrategyError
from .._internals import Embed, Flow, Points, Score, Scores, Search, Step
from ..errors import ClientError, MissingExtra
from ..planning import Plan
from .runs import Usage
from .topics import Topic

__all__ = ["Outcome", "Seen", "attempt", "is_setup_error"]


@dataclass
class Seen:
    """The steps of one flow, and the points that came back; sizes are taken later, outside the time that is measured."""

    steps: list[Step] = field(default_factory=list)
    found: list[Points] = field(default_factory=list)

    def usage(self) -> Usage:
        """What the steps add up to."""
        searches = [step for step in self.steps if isinstance(step, Search)]
        embeds = [step for step in self.steps if isinstance(step, Embed)]
        scores = [score for step in self.steps for score in _scores(step)]
        requests = [request for step in searches for request in step.requests]
        return Usage(
            round_trips=sum(map(_round_trips, searches)),
            searches=len(requests),
            embeddings=sum(len(step.texts) * len(step.using) for step in embeds),
            model_calls=len(scores),
            model_texts=sum(len(step.texts) for step in scores),
            bytes_sent=sum(_size(request) for request in requests),
            bytes_received=sum(_size(point) for points in self.found for point in points),
        )


@dataclass(frozen=True)
class Outcome:
    """What became of one flow: points, or the exception that ended it."""

    seen: Seen
    points: Points = field(default_factory=list)
    error: Exception | None = None


def attempt(plan: Plan, topic: Topic) -> Flow[Outcome]:
    """The flow of `plan` for `topic`, which ends with an outcome instead of an exception."""
    seen = Seen()
    try:
        points = yield from _watched(plan.flow(topic.query), seen)
    except Exception as error:
        return Outcome(seen, error=error)
    return Outcome(seen, points)


def is_setup_error(error: Exception) -> bool:
    """Whether the error is about what is evaluated with, not about one topic: it would end every topic alike."""
    return isinstance(error, MissingExtra | ClientError | StrategyError)


def _watched(flow: Flow[Points], seen: Seen) -> Flow[Points]:
    """`flow`, with its steps and the points it is sent noted."""
    try:
        step = next(flow)
        while True:
            seen.steps.append(step)
            try:
                answer: Any = yield from _one(step)
            except Exception as error:
                step = flow.throw(error)
                continue
            if isinstance(step, Search):
                seen.found.extend(answer)
            step = flow.send(answer)
    except StopIteration as done:
        points: Points = done.value
        return points
    finally:
        flow.close()


def _one(step: Step) -> Generator[Step, Any, Any]:
    return (yield step)


def _scores(step: Step) -> Sequence[Score]:
    return [step] if isinstance(step, Score) else step.asked if isinstance(step, Scores) else ()


def _round_trips(step: Search) -> int:
    """All plain requests of a step go in one, each group request in one of its own."""
    grouped = sum(isinstance(request, models.QueryGroupsRequest) for request in step.requests)
    return grouped + (grouped < len(step.requests))


def _size(value: Any) -> int:
    """Bytes as compact JSON."""
    plain = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return len(json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode())

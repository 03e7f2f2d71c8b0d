"""Many flows run as one: what they ask for at the same time goes out together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, assert_never

from .steps import Embed, Flow, Score, Scores, Search, Step

__all__ = ["together"]

R = TypeVar("R")


def together(flows: Sequence[Flow[R]]) -> Flow[list[R]]:
    """Run many flows side by side as one flow: what they ask for at the same time is asked for once.

    Embeddings for the same vectors become one `Embed`, searches with the same options one `Search` (one round
    trip), scorings one `Scores`, which async services answer side by side. A step's exception is thrown into each flow that
    shares the step; one that a flow doesn't catch ends them all.
    """
    results: dict[int, R] = {}
    waiting: dict[int, Step] = {}

    def advance(number: int, resume: Callable[[Any], Step], answer: Any) -> None:
        try:
            waiting[number] = resume(answer)
        except StopIteration as done:
            results[number] = done.value

    try:
        for number, flow in enumerate(flows):
            advance(number, flow.send, None)
        while waiting:
            # embeddings first, so that flows that bring their vectors search together with those that have to wait for them
            asked = {number: step for number, step in waiting.items() if isinstance(step, Embed)} or waiting
            waiting = {number: step for number, step in waiting.items() if number not in asked}
            for step, numbers in _merged(asked):
                try:
                    answers: list[Any] = yield from step
                except Exception as error:
                    for number in numbers:
                        advance(number, flows[number].throw, error)
                    continue
                if len(numbers) == 1:  # a step of its own
                    advance(numbers[0], flows[numbers[0]].send, answers)
                    continue
                shares = _shares(answers, [asked[number] for number in numbers])
                for number, share in zip(numbers, shares, strict=True):
                    advance(number, flows[number].throw if isinstance(share, BaseException) else flows[number].send, share)
    finally:
        for flow in flows:
            flow.close()
    return [results[number] for number in range(len(flows))]


def _merged(asked: Mapping[int, Step]) -> Iterator[tuple[Step, list[int]]]:
    """Steps that ask for all of `asked`, each with the numbers of the flows it asks for."""
    alike: dict[object, list[int]] = {}
    for number, step in asked.items():
        alike.setdefault(_company(step), []).append(number)
    for numbers in alike.values():
        yield _joined([asked[number] for number in numbers]), numbers


def _company(step: Step) -> object:
    """Equal for steps that one step may ask for."""
    match step:
        case Embed():
            return Embed, step.using
        case Search():
            return Search, repr(step.consistency), step.timeout
        case Score() | Scores():
            return Scores
    assert_never(step)


def _joined(steps: Sequence[Step]) -> Step:
    """One step that asks what these ask, which are of one kind."""
    first = steps[0]
    if len(steps) == 1:
        return first
    match first:
        case Embed():
            return replace(first, texts=[text for step in steps if isinstance(step, Embed) for text in step.texts])
        case Search():
            return replace(first, requests=[request for step in steps if isinstance(step, Search) for request in step.requests])
        case Score() | Scores():
            alike = [step for step in steps if isinstance(step, Score | Scores)]
            return Scores([one for step in alike for one in (step.asked if isinstance(step, Scores) else [step])])
    assert_never(first)


def _shares(answers: list[Any], steps: Sequence[Step]) -> Iterator[Any]:
    """Deal the answers of a merged step out to the steps that it was merged from."""
    start = 0
    for step in steps:
        size = _size(step)
        share = answers[start : start + size]
        yield share[0] if isinstance(step, Score) else share
        start += size


def _size(step: Step) -> int:
    """How many answers a step asks for."""
    match step:
        case Embed():
            return len(step.texts)
        case Search():
            return len(step.requests)
        case Score():
            return 1
        case Scores():
            return len(step.asked)
    assert_never(step)

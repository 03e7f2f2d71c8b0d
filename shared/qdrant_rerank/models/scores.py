"""What all feedback models and their wrappers do with scores: check them, and ask for them asynchronously."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from ..errors import ScoringError
from .feedback import FeedbackModel

__all__ = ["ascored", "checked", "named"]


def checked(scores: Sequence[Any], wanted: int, model: object | None) -> list[float]:
    """The scores as floats.

    Args:
        scores: what `model` returned.
        wanted: the number of texts.
        model: named in errors by its type; None for just "the model".

    Raises:
        ScoringError: there are more or fewer than `wanted`, or one is no finite number.
    """
    if len(scores) != wanted:
        raise ScoringError(f"{named(model)} returned {len(scores)} scores for {wanted} texts")
    try:
        numbers = [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        raise ScoringError(f"{named(model)} returned scores that aren't numbers: {error}") from error
    odd = [place for place, number in enumerate(numbers) if not math.isfinite(number)]
    if odd:
        first = f"{numbers[odd[0]]!r} for text {odd[0]}"
        raise ScoringError(f"{named(model)} returned scores that aren't finite: {first} ({len(odd)} of {wanted})")
    return numbers


async def ascored(model: FeedbackModel, query: str, texts: Sequence[str]) -> Sequence[float]:
    """The model's scores without blocking: by its `ascore`, or by its `score` in a thread."""
    ascore = getattr(model, "ascore", None)  # isinstance would read the fingerprint, and with it maybe a model's folder
    if ascore is not None:
        scores: Sequence[float] = await ascore(query, texts)
        return scores
    return await asyncio.to_thread(model.score, query, texts)


def named(model: object | None) -> str:
    """How an error calls a model: by its type, as its settings may be long."""
    return "the model" if model is None else f"the model ({type(model).__name__.lstrip('_')})"

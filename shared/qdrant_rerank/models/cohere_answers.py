"""Reads Cohere's answers. The SDK doesn't validate them, so what a server says is checked here."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ScoringError
from ..values import is_finite, is_whole

__all__ = ["read_embeddings", "read_scores"]


def read_scores(reply: Any, wanted: int) -> list[float]:
    """The scores of one rerank answer, in the order in which the texts were sent.

    Raises:
        ScoringError: there isn't exactly one finite score for each text.
    """
    results = getattr(reply, "results", None)
    if not isinstance(results, list):
        raise ScoringError(f"Cohere's answer has no list of results: {_short(reply)}")
    scores: dict[int, float] = {}
    for result in results:
        index, score = getattr(result, "index", None), getattr(result, "relevance_score", None)
        if not isinstance(index, int) or not is_whole(index, 0) or index >= wanted:
            raise ScoringError(f"Cohere returned a score for index {index!r}, but {wanted} texts were sent (0 to {wanted - 1})")
        if index in scores:
            raise ScoringError(f"Cohere returned two scores for index {index}: {scores[index]!r} and {score!r}")
        if not isinstance(score, int | float) or not is_finite(score):
            raise ScoringError(f"Cohere returned the score {score!r} for index {index}: it is no finite number")
        scores[index] = float(score)
    if missing := [place for place in range(wanted) if place not in scores]:
        listed = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
        raise ScoringError(f"Cohere returned {len(scores)} scores for {wanted} texts: none for index {listed}")
    return [scores[place] for place in range(wanted)]


def read_embeddings(reply: Any, wanted: int, size: int | None) -> list[list[float]]:
    """The vectors of one embed answer.

    Raises:
        ScoringError: there isn't one vector for each text, or they have another size than asked for, or odd numbers.
    """
    vectors = getattr(getattr(reply, "embeddings", None), "float_", None)
    if not isinstance(vectors, list):
        raise ScoringError(f"Cohere's answer has no float embeddings: {_short(reply)}")
    if len(vectors) != wanted:
        raise ScoringError(f"Cohere returned {len(vectors)} embeddings for {wanted} texts")
    sizes = {len(vector) if isinstance(vector, list) else 0 for vector in vectors}
    if len(sizes) > 1 or 0 in sizes or (size is not None and sizes != {size}):
        asked = "" if size is None else f"; asked for was {size}"
        raise ScoringError(f"Cohere returned embeddings of {', '.join(map(str, sorted(sizes)))} numbers{asked}")
    try:
        numbers = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScoringError(f"Cohere returned an embedding that isn't made of numbers: {error}") from error
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise ScoringError(f"Cohere returned an embedding with numbers that aren't finite, for text {place}")
    plain: list[list[float]] = numbers.tolist()
    return plain


def _short(reply: Any) -> str:
    shown = repr(reply)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"

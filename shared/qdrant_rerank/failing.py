"""What happens when a reranker fails in the middle of a query."""

from __future__ import annotations

from typing import Literal, TypeAlias

from .errors import EngineError, QdrantRerankError, ScoringError, TimeoutError, warn

__all__ = ["OnError", "tolerated"]

OnError: TypeAlias = Literal["raise", "keep_order"]
"""Raise a model's error, or go on with the order of the search."""


def tolerated(error: Exception, on_error: OnError, consequence: str) -> str:
    """The kind of an error that a strategy goes on after, once it has been warned about.

    Args:
        error: what the model, its SDK or the check of its scores raised.
        on_error: the strategy's setting.
        consequence: what the results are now, for the warning.

    Raises:
        Exception: the error itself, if the setting is "raise", or if it isn't the model's: a missing model, a wrong blend
            or a missing request-time value would fail every query alike.
    """
    # a model that takes longer than the call may has failed like any other; what is asked after it has no time left
    ours = isinstance(error, QdrantRerankError) and not isinstance(error, ScoringError | EngineError | TimeoutError)
    if on_error == "raise" or ours:
        raise error
    kind = type(error).__name__
    warn(f"the model failed ({kind}): {consequence}")
    return kind

"""Every error that the package raises itself, its warnings, and what it goes on after.

::

    QdrantRerankError
    ├── StrategyError (ValueError)    a strategy or expression that is wrong in itself: limit < 1, weights ≠ candidates
    ├── PlanError (ValueError)        doesn't fit this collection or server; `.problems` lists every reason
    ├── QueryError (ValueError)       this one query is unusable: empty text, wrong dimension, a missing value
    ├── ClientError (RuntimeError)    the client can't do what was called, e.g. a sync call with only an async client
    ├── PayloadError (ValueError)     the payload holds no text where the mapping looks for it
    ├── ScoringError                  a model returned the wrong number of scores, or NaN
    │   └── BudgetError               scoring would take more texts or time than it may
    ├── FitError                      too little to learn from, or a model too large for a formula; says what is needed
    ├── FormatError (ValueError)      a file is malformed; carries path and line
    ├── MeasurementError              a measurement stopped at a failure; `.run` is what there is so far
    ├── IngestError                   a batch of documents can't be embedded; `.ids` names them
    ├── EngineError (RuntimeError)    an engine in process refused a call, or failed at it
    ├── TimeoutError (TimeoutError)   the call's time is over, or a server gave no answer in time; says in which step
    └── MissingExtra (ImportError)    an optional dependency is absent; says what to install

Errors of qdrant-client, httpx and model SDKs keep their type, so that who catches them still does.
"""

from __future__ import annotations

import builtins
import inspect
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from os import PathLike
from typing import Any, Final, Literal, TypeAlias

__all__ = [
    "BudgetError",
    "ClientError",
    "EngineError",
    "FitError",
    "FormatError",
    "IngestError",
    "Lint",
    "MeasurementError",
    "MissingExtra",
    "OnError",
    "PayloadError",
    "PlanError",
    "PlanWarning",
    "QdrantRerankError",
    "QueryError",
    "ScoringError",
    "StrategyError",
    "TimeoutError",
    "did_you_mean",
    "tolerate",
    "warn",
]


class QdrantRerankError(Exception):
    """The root of every error that this package raises."""


class StrategyError(QdrantRerankError, ValueError):
    """A strategy or expression is wrong in itself, whatever collection it is meant for."""


class PlanError(QdrantRerankError, ValueError):
    """A strategy doesn't fit the collection or the server; `problems` lists every reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[PlanError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class QueryError(QdrantRerankError, ValueError):
    """One query can't be asked: its text is empty, its vector doesn't fit, a request-time value is missing.

    `against_schema` says whether it contradicts what is known of the collection, which is then read again.
    """

    against_schema: bool = False


class ClientError(QdrantRerankError, RuntimeError):
    """The Qdrant client at hand can't make the call that was asked for."""


class PayloadError(QdrantRerankError, ValueError):
    """The payload of the points holds no text where the payload mapping looks for it."""


class ScoringError(QdrantRerankError):
    """A reranker returned the wrong number of scores, or scores that aren't finite."""


class BudgetError(ScoringError):
    """Scoring would take more texts, or took more time, than the model's budget for one call."""


class FitError(QdrantRerankError):
    """There is too little data to learn from, or what was learned is too large to be a formula."""


class FormatError(QdrantRerankError, ValueError):
    """A file is malformed.

    Args:
        message: what is wrong, and what is expected.
        path: the file.
        line: one-based line number, where one line is to blame.
    """

    def __init__(self, message: str, path: str | PathLike[str] | None = None, line: int | None = None) -> None:
        self.message, self.path, self.line = message, path, line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)


class MeasurementError(QdrantRerankError):
    """A measurement stopped, as Qdrant or a model failed: going on would have counted failures as results.

    Args:
        message: at which topic, and how to go on.
        run: what there is so far: an `evaluate.Run` of `evaluate`; None where it is in the file that the call was given.
    """

    def __init__(self, message: str, run: Any = None) -> None:
        self.message, self.run = message, run
        super().__init__(message)


class IngestError(QdrantRerankError):
    """A batch of documents can't be embedded; `ids` are all of the batch, of which none was written."""

    def __init__(self, message: str, ids: Iterable[str | int] = ()) -> None:
        self.message, self.ids = message, tuple(ids)
        super().__init__(message)


class EngineError(QdrantRerankError, RuntimeError):
    """An engine in process refused a call, or failed at it: its own errors, all of the type `Exception`, with a type."""


class TimeoutError(QdrantRerankError, builtins.TimeoutError):
    """The time of a call is over, or a server gave no answer in time; the message says in which step."""


class MissingExtra(QdrantRerankError, ImportError):
    """An optional dependency is not installed.

    Args:
        what: what was asked for, e.g. `"FastembedDense"`.
        extra: the extra that brings it, e.g. `"fastembed"`.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f"{what} needs an optional dependency: pip install 'qdrant-rerank[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.what, self.extra)


class PlanWarning(UserWarning):
    """Something will work, but not as well as it looks: an empty collection, a limit that has no effect."""


_BETWEEN: Final = frozenset(
    {
        *("qdrant_rerank", "langchain_qdrant_rerank", "llama_index_qdrant_rerank"),
        *("langchain_core", "llama_index", "llama_index_instrumentation"),
        *("asyncio", "concurrent", "contextlib", "contextvars", "threading", "tenacity"),
    }
)
"""Packages whose lines lie between the user's call and what is warned of."""


def warn(message: object) -> None:
    """Issue a `PlanWarning` that points to the user's call, however many lines of ours and of frameworks lie between."""
    level, frame = 1, inspect.currentframe()
    assert frame is not None  # CPython has frames
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(PlanWarning(message), stacklevel=level)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """The end of an error message that helps to spell `wrong`: `": did you mean 'colbert'?"`, or nothing."""
    near = get_close_matches(wrong, list(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""


OnError: TypeAlias = Literal["raise", "keep_order"]
"""Raise a model's error, or go on with the order of the search."""


def tolerate(error: Exception, on_error: OnError, consequence: str) -> str:
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


class Lint(str):
    """A warning's text, with a code to tell kinds of warnings apart.

    Attributes:
        code: e.g. `"unindexed-field"`.
    """

    code: str

    def __new__(cls, code: str, message: str) -> Lint:
        lint = super().__new__(cls, message)
        lint.code = code
        return lint

    def __reduce__(self) -> tuple[type[Lint], tuple[str, str]]:
        return type(self), (self.code, str(self))

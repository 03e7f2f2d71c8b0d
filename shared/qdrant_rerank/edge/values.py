"""What passes between `qdrant_client.models` and the engine's binding: ids, vectors, points; and the engine's errors.

Ids are whole numbers (numpy's, too) and UUIDs, which are text in `qdrant_client.models` and `uuid.UUID` in the engine. Vectors
that the engine would take in silence and answer with nothing are refused here: numbers that aren't finite or don't fit 32 bits,
and sparse vectors with an index twice.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import qdrant_edge as engine
from qdrant_client import models

from ..errors import ClientError, EngineError, QdrantRerankError, QueryError
from ..values import to_whole

VERSION: Final = "1.20.0"
"""The Qdrant that the engine counts as. The bill of materials in qdrant-edge-py 0.9 names the sources of Qdrant
1.20.1-dev, so that all of 1.20.0 is in it; the engine itself doesn't say."""

_IN_USE: Final = "WouldBlock"
_NO_RESULT: Final = "process cancelled by service"
_OWN_FAULTS: Final = ("Service runtime error", "Operation cancelled")  # what the engine says of itself, not of the request
_OWNED: Final = (
    "another process or another EdgeClient has the collection open, and a collection on disk has one owner at a time. "
    "Close the other one (in a notebook that is often the retriever or client of an earlier run: call its close()), share one "
    "client, or run a Qdrant server"
)
_PANIC: Final = "PanicException"  # a bug of the engine; of a type of its own, which can't be imported


class EngineValueError(EngineError, ValueError):
    """The engine refused what was asked for as it is wrong: a `ValueError` in qdrant-client's local mode, too."""


@contextmanager
def refusals(what: str) -> Generator[None]:
    """Give errors of the engine and of the folder's files a type, and say what was asked.

    Raises ClientError: the collection is in use elsewhere. Raises EngineError: the engine refused `what`, or failed at it; a
    ValueError, too, if what was asked for is wrong.
    """
    try:
        yield
    except QdrantRerankError:
        raise
    except OSError as error:
        raise EngineError(f"{what} failed: {error}") from error
    except BaseException as error:
        if type(error).__name__ == _PANIC:
            raise EngineError(f"qdrant-edge failed at {what}, by a fault of its own: {error}") from error
        if type(error) is not Exception:
            raise
        message = str(error)
        if _IN_USE in message:
            raise ClientError(f"{what} failed: {_OWNED}") from error
        kind = EngineError if message.startswith(_OWN_FAULTS) else EngineValueError
        raise kind(f"qdrant-edge refused {what}: {_explain(message)}") from error


@contextmanager
def describe_misfits(what: str) -> Generator[None]:
    """Say which part of a call the engine can't take, as it takes Python's values apart at once.

    Raises QueryError: a value is of another type or size than the engine's; the message begins with `what`.
    """
    try:
        yield
    except QdrantRerankError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise QueryError(f"{what}: {text if len(text) <= 300 else f'{text[:300]}…'}") from error


def _explain(message: str) -> str:
    if _NO_RESULT not in message:
        return message
    return (
        "its formula has no result for some candidate, as a payload value is missing or isn't one number, or as a result "
        f"isn't finite. Give the fields defaults (the engine says only: {message})"
    )


REASONS: Final[Mapping[str, str]] = {
    "consistency": "there is one copy of the data, with nothing to agree on",
    "lookup_from": "vectors can be taken from the collection itself only: retrieve the vector, and pass that",
    "ordering": "writes happen in the order of the calls",
    "shard_key_selector": "a collection is one shard",
    "timeout": "a call that runs can't be stopped",
    "with_lookup": "groups can't be joined with another collection: retrieve its points by the groups' ids",
}
"""Arguments of `QdrantClient` that the engine can't honour, and why."""


def check_extras(**extras: Any) -> None:
    """Refuse arguments that are given (not None) but can't be honoured. Raises ClientError: names each of them, and why."""
    given = [name for name, value in extras.items() if value is not None]
    if given:
        listed = "; ".join(f"{name} ({REASONS.get(name, 'not known here')})" for name in given)
        raise ClientError(f"qdrant-edge can't honour {listed}. Leave it out, or use a Qdrant server")


Table = dict[type[Any], Callable[..., Any]]


def by_type(translators: Mapping[str, Callable[..., Any]]) -> Table:
    """Translators by the class of `qdrant_client.models` that they are for; older clients lack some of them."""
    return {getattr(models, name): translate for name, translate in translators.items() if hasattr(models, name)}


def translator(table: Table, kind: type[Any]) -> Callable[..., Any] | None:
    """The translator for a class or the nearest of its bases; None if there is none."""
    return table.get(kind) or next((table[base] for base in kind.__mro__ if base in table), None)


# Ids and vectors

_HYPHENATED: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID: Final = re.compile(rf"[0-9a-f]{{32}}|{_HYPHENATED}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}", re.IGNORECASE)
_END: Final = 2**64


def is_id(value: Any) -> bool:
    """Whether `value` can be a point's id, in any spelling that Qdrant knows."""
    if isinstance(value, str):
        return _UUID.fullmatch(value) is not None
    if isinstance(value, uuid.UUID):
        return True
    number = to_whole(value)
    return number is not None and 0 <= number < _END


def engine_id(value: Any) -> int | uuid.UUID:
    """The id as the engine takes it. Raises QueryError: it can't be a point's id."""
    if not is_id(value):
        raise QueryError(f"a point's id is a whole number from 0 to 2**64 - 1 or a UUID, got {value!r}"[:300])
    if isinstance(value, str):
        return uuid.UUID(value)
    return value if isinstance(value, uuid.UUID) else int(value)


def wire_id(value: int | uuid.UUID | str) -> int | str:
    """The id as qdrant-client gives it."""
    return value if isinstance(value, int) else str(value)


_INFERENCE = (models.Document, models.Image, models.InferenceObject)


def to_engine(vector: Any, what: str) -> Any:
    """A dense, sparse or multivector as the engine takes it; `what` names it in messages.

    Raises ClientError: it is an object that a server would embed. Raises QueryError: it holds what isn't a number, numbers that
    aren't finite in 32 bits, or an index twice.
    """
    if isinstance(vector, _INFERENCE):
        raise ClientError(
            f"{what} is a models.{type(vector).__name__}, which a server embeds; qdrant-edge has no models: embed it first, "
            "e.g. with an encoder that runs here"
        )
    if isinstance(vector, models.SparseVector):
        return _sparse(vector, what)
    if hasattr(vector, "tolist"):
        vector = vector.tolist()
    if not isinstance(vector, Sequence) or isinstance(vector, str):
        raise QueryError(f"{what} must be a list of numbers, a list of such lists, or a SparseVector, got {vector!r}"[:300])
    if not vector or not hasattr(vector[0], "__len__"):
        return _numbers(vector, what)
    return [_numbers(row, what) for row in vector]


def _numbers(row: Any, what: str) -> list[Any]:
    """The numbers as Python's own."""
    if isinstance(row, np.ndarray):
        row = row.tolist()
    if not isinstance(row, Sequence) or isinstance(row, str):
        raise QueryError(f"{what} holds {row!r}, which isn't a list of numbers"[:300])
    try:
        wide = np.array(row, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(f"{what} holds what isn't a number: {error}"[:300]) from error
    if any(isinstance(one, str | bool) for one in row):  # numpy would read the text, and take True for 1
        raise QueryError(f"{what} holds what isn't a number, got {row!r}"[:300])
    if not np.isfinite(wide).all():
        raise QueryError(f"{what} holds numbers that aren't finite")
    if (np.abs(wide) > _LARGEST).any():
        raise QueryError(f"{what} holds numbers beyond those of 32 bits, the engine's own: at most {_LARGEST:.4g}")
    return list(row)


_LARGEST = float(np.finfo(np.float32).max)


def _sparse(vector: models.SparseVector, what: str) -> Any:
    if len(vector.indices) != len(vector.values):
        raise QueryError(f"{what} has {len(vector.indices)} indices but {len(vector.values)} values")
    if len(set(vector.indices)) != len(vector.indices):
        raise QueryError(f"{what} has an index twice")
    values = _numbers(vector.values, what)
    try:
        return engine.SparseVector(vector.indices, values)
    except (TypeError, OverflowError) as error:
        raise QueryError(f"{what} has an index that isn't a whole number from 0 to 2**32 - 1: {error}") from error


def average(positive: Sequence[Any], negative: Sequence[Any]) -> Any:
    """The query that recommends by an average: twice the mean of what to be like, less the mean of what not.

    Vectors as the engine takes them, of one kind; the rows of several multivectors are all rows of the query, as on a server.
    """
    first = positive[0]
    if isinstance(first, engine.SparseVector):
        weights: dict[int, float] = {}
        for vectors, factor in ((positive, 2.0 if negative else 1.0), (negative, -1.0)):
            for vector in vectors:
                for index, value in zip(vector.indices, vector.values, strict=True):
                    weights[index] = weights.get(index, 0.0) + factor * value / len(vectors)
        return engine.SparseVector(list(weights), list(weights.values()))
    if isinstance(first[0], list):
        return [row for rows in positive for row in rows] + [[-one for one in row] for rows in negative for row in rows]
    mean = np.mean(positive, axis=0)
    return (2 * mean - np.mean(negative, axis=0) if negative else mean).tolist()


def count_numbers(vector: Any) -> int:
    """How many numbers a vector holds, as the engine takes it."""
    if isinstance(vector, engine.SparseVector):
        return 2 * len(vector.values)
    return sum(map(len, vector)) if vector and isinstance(vector[0], list) else len(vector)


def to_scored_point(point: engine.ScoredPoint, with_vector: Any) -> models.ScoredPoint:
    """A found point as qdrant-client gives it, with the vectors that were asked for: MMR brings those that it read."""
    return models.ScoredPoint.model_construct(
        id=wire_id(point.id),
        version=point.version,
        score=point.score,
        payload=point.payload,
        vector=_from_engine(_select_vectors(point.vector, with_vector)) if with_vector else None,
        order_value=point.order_value,
    )


def _select_vectors(vector: Any, with_vector: Any) -> Any:
    if isinstance(with_vector, bool):
        return vector
    named = vector if isinstance(vector, dict) else {"": vector}
    chosen = {name: one for name, one in named.items() if name in with_vector}
    return chosen[""] if list(chosen) == [""] else chosen


def to_record(point: engine.Record) -> models.Record:
    """A stored point as qdrant-client gives it."""
    return models.Record.model_construct(
        id=wire_id(point.id), payload=point.payload, vector=_from_engine(point.vector), order_value=point.order_value
    )


def _from_engine(vector: Any) -> Any:
    """A stored vector, or several by name, as qdrant-client gives them."""
    if isinstance(vector, dict):
        return {name: _from_engine(one) for name, one in vector.items()}
    if isinstance(vector, engine.SparseVector):
        return models.SparseVector(indices=vector.indices, values=vector.values)
    return vector

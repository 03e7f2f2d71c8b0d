"""The engine's Python binding: its import, what its errors mean, and which arguments of `QdrantClient` it has no use for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from qdrant_client import models

from ..errors import ClientError, EngineError, MissingExtra, QdrantRerankError, QueryError

__all__ = [
    "VERSION",
    "EngineValueError",
    "by_type",
    "check_extras",
    "check_unknown",
    "describe_misfits",
    "refusals",
    "translator",
]

try:
    import qdrant_edge as _engine  # noqa: F401  # pyright: ignore[reportUnusedImport]  # every module beside this one uses it
except ImportError as _error:  # pragma: no cover  # tested in a process of its own
    raise MissingExtra("the embedded Rust engine", "edge") from _error


VERSION: Final = "1.20.0"
"""The Qdrant that the engine counts as. The bill of materials in qdrant-edge-py 0.9 names the sources of Qdrant
1.20.1-dev, so that all of 1.20.0 is in it; the engine itself doesn't say."""

_IN_USE: Final = "WouldBlock"
_NO_RESULT: Final = "process cancelled by service"
_OWN_FAULTS: Final = ("Service runtime error", "Operation cancelled")  # what the engine says of itself, not of the request
_OWNED: Final = (
    "another process or another EdgeClient has the collection open, and a collection on disk has one owner at a time. "
    "Close the other one, share one client, or run a Qdrant server"
)
_PANIC: Final = "PanicException"  # a bug of the engine; of a type of its own, which can't be imported


class EngineValueError(EngineError, ValueError):
    """The engine refused what was asked for as it is wrong: a `ValueError` in qdrant-client's local mode, too."""


@contextmanager
def refusals(what: str) -> Generator[None]:
    """Gives the engine's errors, and those of the folder's files, a type, and says what was asked.

    Raises:
        ClientError: the collection is in use elsewhere.
        EngineError: the engine refused `what`, or failed at it; a ValueError, too, if what was asked for is wrong.
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
        raise kind(f"qdrant-edge refused {what}: {_explained(message)}") from error


@contextmanager
def describe_misfits(what: str) -> Generator[None]:
    """Says of which part of a call it is that the engine can't be told: it takes Python's values apart at once.

    Args:
        what: the beginning of the message: whatever it is can't be done, or is refused.

    Raises:
        QueryError: a value is of another type or size than the engine's.
    """
    try:
        yield
    except QdrantRerankError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(f"{what}: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"


def _explained(message: str) -> str:
    if _NO_RESULT not in message:
        return message
    return (
        "its formula has no result for some candidate, as a payload value is missing or isn't one number, or as a result "
        f"isn't finite. Give the fields defaults (the engine says only: {message})"
    )


_REASONS: Final[Mapping[str, str]] = {
    "consistency": "there is one copy of the data, with nothing to agree on",
    "lookup_from": "vectors can be taken from the collection itself only: retrieve the vector, and pass that",
    "ordering": "writes happen in the order of the calls",
    "shard_key_selector": "a collection is one shard",
    "timeout": "a call that runs can't be stopped",
    "with_lookup": "groups can't be joined with another collection: retrieve its points by the groups' ids",
}


def check_extras(**extras: Any) -> None:
    """Refuse arguments that are given (not None) but can't be honoured.

    Raises:
        ClientError: names each of them, and why.
    """
    given = [name for name, value in extras.items() if value is not None]
    if given:
        listed = "; ".join(f"{name} ({_REASONS.get(name, 'not known here')})" for name in given)
        raise ClientError(f"qdrant-edge can't honour {listed}. Leave it out, or use a Qdrant server")


def check_unknown(method: str, unknown: Mapping[str, Any]) -> None:
    """Refuse keyword arguments that a method doesn't have.

    Raises:
        ClientError: names them.
    """
    if unknown:
        raise ClientError(f"{method} takes no {', '.join(map(repr, unknown))}")


Table = dict[type[Any], Callable[..., Any]]


def by_type(translators: Mapping[str, Callable[..., Any]]) -> Table:
    """Translators by the class of `qdrant_client.models` that they are for; older clients lack some of them."""
    return {getattr(models, name): translate for name, translate in translators.items() if hasattr(models, name)}


def translator(table: Table, kind: type[Any]) -> Callable[..., Any] | None:
    """The translator for a class or the nearest of its bases; None if there is none."""
    found = table.get(kind)
    if found is None:
        found = next((table[base] for base in kind.__mro__ if base in table), None)
    return found

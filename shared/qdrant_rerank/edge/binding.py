"""The engine itself: where it is imported first, what it is, and what its errors mean."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from ..errors import ClientError, EngineError, MissingExtra

try:
    import qdrant_edge as _engine  # noqa: F401  # pyright: ignore[reportUnusedImport]  # every module beside this one uses it
except ImportError as _error:  # pragma: no cover  # tested in a process of its own
    raise MissingExtra("the embedded Rust engine", "edge") from _error

__all__ = ["VERSION", "refusals"]

VERSION: Final = "1.20.0"
"""The Qdrant that the engine counts as. The bill of materials in qdrant-edge-py 0.9 names the sources of Qdrant
1.20.1-dev, so that all of 1.20.0 is in it; the engine itself doesn't say."""

_IN_USE: Final = "WouldBlock"
_NO_RESULT: Final = "process cancelled by service"
_OWNED: Final = (
    "another process or another EdgeClient has the collection open, and a collection on disk has one owner at a time. "
    "Close the other one, share one client, or run a Qdrant server"
)


@contextmanager
def refusals(what: str) -> Generator[None]:
    """Gives the engine's errors a type, and says what was asked.

    Raises:
        ClientError: the collection is in use elsewhere.
        EngineError: the engine refused `what`.
    """
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        if _IN_USE in str(error):
            raise ClientError(f"{what} failed: {_OWNED}") from error
        raise EngineError(f"qdrant-edge refused {what}: {_explained(str(error))}") from error


def _explained(message: str) -> str:
    if _NO_RESULT not in message:
        return message
    return (
        "its formula has no result for some candidate, as a payload value is missing or isn't one number, or as a result "
        f"isn't finite. Give the fields defaults (the engine says only: {message})"
    )

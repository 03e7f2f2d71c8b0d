"""Point ids: whole numbers (numpy's, too) and UUIDs, which are text in `qdrant_client.models` and `uuid.UUID` in the engine."""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

from ..checks import to_whole
from ..errors import QueryError

__all__ = ["is_id", "stored_id", "wire_id"]

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


def stored_id(value: Any) -> int | uuid.UUID:
    """The id as the engine takes it.

    Raises:
        QueryError: it can't be a point's id.
    """
    if not is_id(value):
        raise QueryError(f"a point's id is a whole number from 0 to 2**64 - 1 or a UUID, got {value!r}"[:300])
    if isinstance(value, str):
        return uuid.UUID(value)
    return value if isinstance(value, uuid.UUID) else int(value)


def wire_id(value: int | uuid.UUID | str) -> int | str:
    """The id as qdrant-client gives it."""
    return value if isinstance(value, int) else str(value)

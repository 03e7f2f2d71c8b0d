"""What is to be stored: `Document`, and the id that its point gets."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..checks import LEVELS, measure, to_whole
from ..errors import FormatError
from ..steps import QueryVector

__all__ = ["Document", "payload_problem", "point_id", "point_ids"]

_NAMESPACE: Final = uuid.UUID("1052fe82-729a-4026-80e9-b47f24e8b6d6")
"""Changing it would give every stored document a new point: never do."""
_UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_LARGEST: Final = 2**64 - 1
_DIGITS: Final = 20


@dataclass(frozen=True)
class Document:
    """One document to store.

    Attributes:
        id: a number, or any text; the same id is the same point when it is stored again.
        text: what the encoders embed.
        payload: what is stored beside the vectors; the id is added under `_id`.
        vectors: vectors that are there already, by name; they are not embedded again.

    Raises:
        FormatError: the id can't be one, or the text isn't text.
    """

    id: str | int
    text: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    vectors: Mapping[str, QueryVector] = field(default_factory=dict)

    def __post_init__(self) -> None:
        point_id(self.id)
        if not isinstance(self.text, str):
            raise FormatError(f"the text of document {self.id!r} must be a string, got {type(self.text).__name__}")
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            half = self.text[error.start]
            raise FormatError(f"the text of document {self.id!r} has half a character in it ({half!r})") from None
        if self.payload.get("_id", self.id) != self.id:
            raise FormatError(
                f"the payload of document {self.id!r} has an '_id' of its own ({self.payload['_id']!r}), but '_id' is where "
                "the document's id is kept: rename that key"
            )


def payload_problem(payload: Mapping[str, Any]) -> str | None:
    """Why a payload can't be stored; None if it can.

    Engines take what is nested too deep, and can't read it again: then all that finds the point fails, on the engine in
    process the whole collection.
    """
    for key, value in payload.items():
        if 1 + measure(value)[0] > LEVELS:
            return f"the payload is nested more than {LEVELS} levels deep under {key!r}, which couldn't be read again"
    return None


def point_id(id: str | int) -> int | str:
    """The id of the point that a document is stored as.

    Qdrant takes whole numbers and UUIDs, which stay as they are (UUIDs in their usual spelling). Any other text is
    hashed to a UUID (version 5), always the same, so that storing the document again hits the same point.

    Raises:
        FormatError: a number that is negative or takes more than 64 bits, an empty text, or something else.
    """
    if isinstance(id, str):
        if not id.strip():
            raise FormatError(f"an id must not be empty, got {id!r}")
        return str(uuid.UUID(id)) if _UUID.fullmatch(id) else str(uuid.uuid5(_NAMESPACE, id))
    number = to_whole(id)
    if number is None:
        raise FormatError(f"an id must be text or a whole number, got {type(id).__name__} {id!r}")
    if not 0 <= number <= _LARGEST:
        raise FormatError(f"an id that is a number must be from 0 to 2**64 - 1, got {id}: write it as text")
    return number


def point_ids(document: str) -> Iterator[int | str]:
    """The ids that the point of a document may have whose id is known as text: a number may have been stored as one."""
    if document.isdecimal() and len(document) <= _DIGITS and int(document) <= _LARGEST:
        yield int(document)
    try:
        yield point_id(document)
    except FormatError:
        return

"""What is to be stored: `Document`, the id that its point gets, and documents read from JSON lines."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ..errors import FormatError, StrategyError
from ..jsonlines import byte_lines_of, parse_json
from ..steps import QueryVector
from ..values import LEVELS, check_counts, measure, to_whole

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

    Engines take a payload that is nested too deep, and can't read it again: every search that finds the point fails, and on
    the engine in process the whole collection.
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
    """The ids that the point of a document may have, whose id is known as text: a number may be stored as one."""
    if document.isdecimal() and len(document) <= _DIGITS and int(document) <= _LARGEST:
        yield int(document)
    try:
        yield point_id(document)
    except FormatError:
        return


@dataclass(frozen=True)
class BadLine:
    """A line that holds no usable document; `str()` is `corpus.jsonl:17: …`."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def read_jsonl(
    path: str | os.PathLike[str],
    *,
    text_keys: str | Sequence[str] = ("title", "text"),
    id_key: str = "_id",
    joiner: str = " ",
    on_bad: Callable[[BadLine], None] | None = None,
    limit: int | None = None,
) -> JsonlDocuments:
    """The documents of a file of JSON lines, by default as BEIR writes them: `{"_id": …, "title": …, "text": …, …}`.

    Reads line by line. What it remembers are the ids, to find duplicates: about 150 bytes for each document.
    Empty lines are passed over.

    Args:
        path: a UTF-8 file; gzip is unpacked if the name ends in `.gz`.
        text_keys: whose values are the document's text, joined by `joiner`; missing, null and empty ones are left out.
        id_key: whose value is the document's id: text or a whole number.
        joiner: what stands between the texts.
        on_bad: is called for each line that isn't JSON, isn't an object, has no usable id or no text, repeats an
            id, or is nested too deep to be stored; the line is skipped.
        limit: read only that many documents.

    Returns:
        An iterator of documents. Their payload is the whole object, apart from `_id`. Its `bad` lists the bad lines so far.

    Raises:
        FormatError: a bad line while `on_bad` is None, or a damaged gzip file; carries path and line.
        StrategyError: an argument is wrong.
        OSError: there is no such file.
    """
    os.stat(path)  # a missing file is an error now, not after a collection was made for it
    keys = (text_keys,) if isinstance(text_keys, str) else tuple(text_keys)
    if not keys or not all(keys):
        raise StrategyError(f"text_keys must name at least one key, got {text_keys!r}")
    if limit is not None:
        check_counts(1, limit=limit)
    return JsonlDocuments(os.fspath(path), keys, id_key, joiner, on_bad, limit)


@dataclass(eq=False)
class JsonlDocuments(Iterator[Document]):
    """The documents of a file, read as they are asked for. Made by `read_jsonl`.

    Attributes:
        bad: the lines that were bad, so far.
    """

    path: str
    text_keys: tuple[str, ...]
    id_key: str
    joiner: str
    on_bad: Callable[[BadLine], None] | None
    limit: int | None
    bad: list[BadLine] = field(default_factory=list[BadLine], init=False)

    def __post_init__(self) -> None:
        self._documents = self._read()

    def __next__(self) -> Document:
        return next(self._documents)

    def _read(self) -> Iterator[Document]:
        seen: set[int | str] = set()
        for number, line in byte_lines_of(self.path):
            if not line.strip():
                continue
            try:
                document = self._document(line, seen)
            except FormatError as error:
                self._report(number, error.message)
                continue
            yield document
            if len(seen) == self.limit:
                return

    def _report(self, number: int, reason: str) -> None:
        if self.on_bad is None:
            raise FormatError(reason, self.path, number) from None
        self.bad.append(BadLine(self.path, number, reason))
        self.on_bad(self.bad[-1])

    def _document(self, line: bytes, seen: set[int | str]) -> Document:
        record = _record(line)
        if record.get(self.id_key) is None:
            hint = next((f"; pass id_key={key!r}?" for key in ("_id", "id", "doc_id", "docid") if key in record), "")
            raise FormatError(f"no id under {self.id_key!r}; the line has {_list_keys(record)}{hint}")
        point = point_id(record[self.id_key])
        if point in seen:
            raise FormatError(f"the id {record[self.id_key]!r} was in the file before; the first line with it counts")
        payload = record if self.id_key != "_id" else {key: value for key, value in record.items() if key != "_id"}
        if problem := payload_problem(payload):
            raise FormatError(problem)
        document = Document(record[self.id_key], self._text(record), payload)
        seen.add(point)
        return document

    def _text(self, record: Mapping[str, Any]) -> str:
        texts: list[str] = []
        for key in self.text_keys:
            value = record.get(key)
            if value is not None and not isinstance(value, str):
                raise FormatError(f"the text under {key!r} must be a string, got {type(value).__name__} {value!r}"[:200])
            if value and value.strip():
                texts.append(value)
        if not texts:
            raise FormatError(f"no text under {' or '.join(map(repr, self.text_keys))}; the line has {_list_keys(record)}")
        return self.joiner.join(texts)


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = parse_json(line.decode())
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 text: {error}") from None
    if not isinstance(record, dict):
        raise FormatError(f"not a JSON object: {type(record).__name__}")
    return cast("dict[str, Any]", record)


def _list_keys(record: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, list(record)[:12])) or "nothing"

"""Reading documents from JSON lines, one document a line; bad lines are reported, not fatal, if the caller wishes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..checks import is_whole
from ..errors import FormatError, StrategyError
from ..jsonlines import byte_lines_of, parse_json
from .documents import Document, payload_problem, point_id

__all__ = ["BadLine", "JsonlDocuments", "read_jsonl"]


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
    return JsonlDocuments(path, text_keys=text_keys, id_key=id_key, joiner=joiner, on_bad=on_bad, limit=limit)


class JsonlDocuments(Iterator[Document]):
    """The documents of a file, read as they are asked for. Made by `read_jsonl`.

    Attributes:
        bad: the lines that were bad, so far.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        text_keys: str | Sequence[str],
        id_key: str,
        joiner: str,
        on_bad: Callable[[BadLine], None] | None,
        limit: int | None,
    ) -> None:
        os.stat(path)  # a missing file is an error now, not after a collection was made for it
        self.bad: list[BadLine] = []
        self._path = os.fspath(path)
        self._text_keys = (text_keys,) if isinstance(text_keys, str) else tuple(text_keys)
        self._id_key, self._joiner, self._on_bad = id_key, joiner, on_bad
        if not self._text_keys or not all(self._text_keys):
            raise StrategyError(f"text_keys must name at least one key, got {text_keys!r}")
        if limit is not None and not is_whole(limit, 1):
            raise StrategyError(f"limit must be a whole number of at least 1, got {limit!r}")
        self._documents = self._read(limit)

    def __next__(self) -> Document:
        return next(self._documents)

    def _read(self, limit: int | None) -> Iterator[Document]:
        seen: set[int | str] = set()
        for number, line in byte_lines_of(self._path):
            if not line.strip():
                continue
            try:
                document = self._document(line, seen)
            except FormatError as error:
                self._report(number, error.message)
                continue
            yield document
            if len(seen) == limit:
                return

    def _report(self, number: int, reason: str) -> None:
        if self._on_bad is None:
            raise FormatError(reason, self._path, number) from None
        bad = BadLine(self._path, number, reason)
        self.bad.append(bad)
        self._on_bad(bad)

    def _document(self, line: bytes, seen: set[int | str]) -> Document:
        record = _record(line)
        if record.get(self._id_key) is None:
            hint = next((f"; pass id_key={key!r}?" for key in ("_id", "id", "doc_id", "docid") if key in record), "")
            raise FormatError(f"no id under {self._id_key!r}; the line has {_listed(record)}{hint}")
        point = point_id(record[self._id_key])
        if point in seen:
            raise FormatError(f"the id {record[self._id_key]!r} was in the file before; the first line with it counts")
        payload = record if self._id_key != "_id" else {key: value for key, value in record.items() if key != "_id"}
        if problem := payload_problem(payload):
            raise FormatError(problem)
        document = Document(record[self._id_key], self._text(record), payload)
        seen.add(point)
        return document

    def _text(self, record: Mapping[str, Any]) -> str:
        texts: list[str] = []
        for key in self._text_keys:
            value = record.get(key)
            if value is not None and not isinstance(value, str):
                raise FormatError(f"the text under {key!r} must be a string, got {type(value).__name__} {value!r}"[:200])
            if value and value.strip():
                texts.append(value)
        if not texts:
            raise FormatError(f"no text under {' or '.join(map(repr, self._text_keys))}; the line has {_listed(record)}")
        return self._joiner.join(texts)


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = parse_json(line.decode())
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 text: {error}") from None
    if not isinstance(record, dict):
        raise FormatError(f"not a JSON object: {type(record).__name__}")
    return cast("dict[str, Any]", record)


def _listed(record: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, list(record)[:12])) or "nothing"

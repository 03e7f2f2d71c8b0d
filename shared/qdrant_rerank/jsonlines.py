"""JSON read strictly: no key twice, no infinity, no half characters, bounded depth, digits and size; errors say where.

`json` itself takes the last of two equal keys, reads `1e400` as infinity, and ends in RecursionError or MemoryError where a
file is malformed. Whatever reads JSON that others wrote reads it here.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from json import decoder
from pathlib import Path
from typing import IO, Any, Final, cast

from .errors import FormatError
from .values import brief, clip_text

VERSION: Final = 1
"""The format of the files that this package writes: strategies, coefficients, rankers, logs."""
FORMAT: Final = "format_version"
"""The version's key in files of strategies and coefficients, as a strategy of one's own may have a `version`."""
DEPTH: Final = 200
"""The most brackets within each other: Qdrant takes about 127, and Python's recursion ends before 1,000."""
_DIGITS: Final = 300  # of one number; a float has 309 at most
_LINE: Final = 64 * 2**20  # bytes; a file without line ends isn't read into memory whole
_FILE: Final = 512 * 2**20

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = decoder.JSONDecoder()
_scan_string: Callable[[str, int], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]  # not in the stubs
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]', re.DOTALL)
_LARGE = re.compile(rf"\d{{{_DIGITS}}}|\d[eE]\+?\d{{3}}")  # what may be too large a number
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def check_version(
    value: Mapping[str, Any], path: str | os.PathLike[str] | None, line: int | None = None, key: str = "version"
) -> None:
    """Refuse a file of another format, by a `FormatError`; one without a version passes."""
    there = value.get(key, VERSION)
    if there != VERSION or isinstance(there, bool):
        raise FormatError(
            f"{key}: this qdrant-rerank reads files of format version {VERSION}, got {brief(there)}: make the file again, or "
            "read it with the qdrant-rerank that wrote it",
            path,
            line,
        )


def with_version(text: str) -> str:
    """A JSON object's text as a file's, with the version of its format first."""
    versioned = {FORMAT: VERSION, **json.loads(text)}
    return json.dumps(versioned, indent=2, ensure_ascii=False) + "\n"


def take_version(value: Any, text: str, path: str | os.PathLike[str] | None) -> None:
    """Take the version of its format out of a file's value. Raises as `check_version`."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        check_version(found, path, line_of(text, (FORMAT,)), FORMAT)
        found.pop(FORMAT, None)


def parse_json(
    text: str, path: str | os.PathLike[str] | None = None, line: int = 1, *, halves: bool = False, infinities: bool = False
) -> Any:
    """The value that JSON text holds.

    Args:
        text: the JSON.
        path: the file it is from, for messages.
        line: on which line of the file it begins.
        halves: whether half characters (lone surrogates) pass, which no UTF-8 text can hold.
        infinities: whether `Infinity` and `-Infinity` are read, which Python writes for the open end of a range.

    Raises:
        FormatError: it isn't JSON, has a key twice in one object, a number beyond floats or of more than 300 digits, half a
            character, or more than 200 brackets within each other.
    """
    check_depth(text, path, line)
    # the two hooks take as long as parsing, so that they are there only where they may find something
    numbers: dict[str, Any] = {"parse_float": _float, "parse_int": _int} if _LARGE.search(text) else {}
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_read_infinity if infinities else _refuse, **numbers)
        if not halves and (_HALF.search(text) or not text.isascii()):
            _check_halves(text, value)
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg} (column {error.colno})", path, line + error.lineno - 1) from None
    except _Twice as error:
        raise FormatError(f"the key {clip_text(repr(error.key))} is there twice", path, line + _line_twice(text)) from None
    except _Unfit as error:
        raise FormatError(str(error), path, line + _line_of_token(text, error.token)) from None
    return value


def check_depth(text: str, path: str | os.PathLike[str] | None = None, line: int = 1) -> None:
    """Refuse text with more than 200 brackets within each other, by a `FormatError` with the line where it gets too deep."""
    if text.count("[") + text.count("{") <= DEPTH:
        return
    depth = 0
    for match in _BRACKETS.finditer(text):
        sign = match[0]
        if sign in "[{":
            depth += 1
            if depth > DEPTH:
                found = line + text.count("\n", 0, match.start())
                raise FormatError(f"not JSON that can be read: more than {DEPTH} brackets within each other", path, found)
        elif sign in "]}":
            depth -= 1


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file without the byte order mark that editors on Windows put at its beginning.

    Raises FormatError where it isn't UTF-8, or has more than 512 MB; OSError where there is no such file.
    """
    size = Path(path).stat().st_size
    if size > _FILE:
        raise FormatError(f"the file has {size / 2**20:,.0f} MB, more than the {_FILE // 2**20} that are read at once", path)
    data = Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 text: {error.reason}", path, data.count(b"\n", 0, error.start) + 1) from None


def lines_of(path: str | os.PathLike[str], *, empty: bool = False) -> Iterator[tuple[int, str]]:
    """The lines (empty ones too, if `empty`), each with its number from 1; gzip is unpacked if the name ends in `.gz`.

    Raises:
        FormatError: it isn't UTF-8 text, has a line of more than 64 MB, or is a damaged gzip file; carries the line.
        OSError: there is no such file.
    """
    for number, line in byte_lines_of(path):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"not UTF-8 text: {error.reason} (byte {error.start + 1})", path, number) from None
        if empty or text.strip():
            yield number, text


def byte_lines_of(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """All lines without their ends, as `lines_of` reads them; only `\\n` ends one, as JSON may hold any other."""
    number, name = 0, os.fspath(path)
    # gzip's own type has other methods than the one of files
    with cast(IO[bytes], gzip.open(name, "rb")) if name.endswith(".gz") else Path(name).open("rb") as file:
        try:
            while line := file.readline(_LINE + 1):
                number += 1
                if len(line) > _LINE:
                    raise FormatError(f"the line has more than {_LINE // 2**20} MB", path, number)
                yield number, (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).rstrip(b"\r\n")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(f"the gzip file is damaged: {error}", path, number + 1) from error


def line_of(text: str, path: Sequence[str | int]) -> int:
    """The one-based line of the key or item that `path` leads to, or of the last one on the way that exists."""
    start = position = _skip(text, 0)
    for part in path:
        found = _entry(text, position, part)
        if found is None:
            break
        start, position = found
    return text.count("\n", 0, start) + 1


class _Twice(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


class _Unfit(Exception):
    """A value isn't JSON's; `token` is how it is written."""

    def __init__(self, message: str, token: str) -> None:
        self.token = token
        super().__init__(message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


def _line_twice(text: str) -> int:
    """The zero-based line of the first key that is in its object twice."""
    open_ones: list[set[str] | None] = []
    last: re.Match[str] | None = None
    for match in _BRACKETS.finditer(text):
        sign = match[0]
        if sign in "[{":
            open_ones.append(set() if sign == "{" else None)
        elif sign in "]}":
            open_ones.pop()
        elif sign == ":" and last is not None and (keys := open_ones[-1]) is not None:
            key = json.loads(last[0], strict=False)
            if key in keys:
                return text.count("\n", 0, last.start())
            keys.add(key)
        last = match
    raise AssertionError("called of text without such a key")  # pragma: no cover  # the parser has found one


def _line_of_token(text: str, token: str) -> int:
    """The zero-based line of the first such token outside of strings, or in one if it is part of a string."""
    for match in re.finditer(rf'"(?:[^"\\]|\\.)*"|{re.escape(token)}', text, re.DOTALL):
        if not match[0].startswith('"'):
            return text.count("\n", 0, match.start())
    return text.count("\n", 0, text.lower().find(token))


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Unfit(f"not JSON: {clip_text(text, 40)} is beyond what a number can be", text)
    return value


def _int(text: str) -> int:
    if len(text) > _DIGITS:
        raise _Unfit(f"not JSON: a number of {len(text):,} digits", text)
    return int(text)


def _refuse(constant: str) -> float:
    raise _Unfit(f"not JSON: {constant} is no number of JSON's", constant)


def _read_infinity(constant: str) -> float:
    return _refuse(constant) if constant == "NaN" else float(constant)


def _check_halves(text: str, value: Any) -> None:
    """Refuse half characters, as such or written as `\\ud83d`."""
    try:
        text.encode()
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        written = half if half in text else f"\\u{ord(half):x}"
        raise _Unfit(f"not UTF-8 text: {half!r} is half a character", written) from None


def _entry(text: str, position: int, part: str | int) -> tuple[int, int] | None:
    """Where the entry `part` of the object or array at `position` begins (its key), and where its value does."""
    if text[position] not in "{[":
        return None
    is_object = text[position] == "{"
    position = _skip(text, position + 1)
    number = 0
    while text[position] not in "}]":
        start = position
        key: str | int = number
        if is_object:
            key, position = _scan_string(text, position + 1)
            position = _skip(text, _skip(text, position) + 1)  # over the colon
        if key == part:
            return start, position
        _, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
        number += 1
    return None


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position

"""Files of JSON lines that are appended to, so that interrupted work goes on where it stopped.

The first line is a header that says what the file is about; only the same goes on in it. A record is one line, written at
once: a process that is killed leaves at most half a line, which is cut off when the file is opened again. Lines end at `\\n`
alone, as JSON strings may hold all else that Python takes for a line's end (U+2028, U+0085). An open journal is locked, so that
two processes never write to one file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeVar

from .errors import FormatError, StrategyError
from .jsonlines import VERSION, check_depth, check_version, parse_json
from .values import brief

if sys.platform != "win32":  # pragma: no branch  # Windows has no such locks
    import fcntl

T = TypeVar("T")
_UNSAID: Final = "not said, as an older version wrote the file"
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # of file systems without them


@dataclass(frozen=True)
class JournalKind:
    """One kind of file.

    Attributes:
        kind: the header's `kind`.
        wrong_header: what to say where the first line is no such header.
        wrong_line: what to say of any other line that isn't a record.
        empty: what to say of an empty file that is read.
        bare: how the first record begins in files of older versions, which have no header.
        later: keys that the headers of older versions lack: such a file can be read, and isn't gone on with.
    """

    kind: str
    wrong_header: str
    wrong_line: str
    empty: str
    bare: str = ""
    later: tuple[str, ...] = ()

    @property
    def start(self) -> str:
        """How a header begins."""
        return f'{{"kind": {json.dumps(self.kind)}'


@dataclass(frozen=True)
class Record:
    """One line of a journal, and its number in the file."""

    line: int
    value: dict[str, Any]


class Journal:
    """A journal that is written to, made if it isn't there, and what it held when it was opened: its `header` and `records`.

    Args:
        path: the file.
        kind: what kind of file it is.
        header: the first line of a new file, beside its kind and the version of its format.
        check: is given the header of a file that is there, and raises where the file is about something else.

    Raises:
        FormatError: it is another kind of file, or a line of it can't be read.
        StrategyError: another process, or another call, is writing to it.
        OSError: it can't be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        kind: JournalKind,
        header: Mapping[str, Any],
        check: Callable[[dict[str, Any]], None],
    ) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        self.close: Callable[[], None] = weakref.finalize(self, os.close, self._file)  # closes once, also if forgotten
        try:
            _take(self._file, self.path)
            data = self.path.read_bytes()
            there, self.records, whole = _read(data, self.path, kind)
            if there is not None:
                check(there)
            self.header = dict(header) if there is None else there
            if whole < len(data):
                os.truncate(self._file, whole)
            elif data and not data.endswith(b"\n"):
                self._append(b"\n")
            if not whole:
                self.add({"kind": kind.kind, "version": VERSION, **header})
        except BaseException:
            self.close()
            raise

    def add(self, *values: Mapping[str, Any]) -> None:
        """Append records, each as one line; none where the disk has no room for all, which is an OSError.

        Raises FormatError where one holds what JSON can't (NaN, a date), or is nested too deep to be read again.
        """
        self._append(b"".join(map(self._line, values)))

    def _line(self, value: Mapping[str, Any]) -> bytes:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise FormatError(f"a record can't be kept as JSON ({error}): {brief(value)}", self.path) from error
        check_depth(text, self.path)
        try:
            return text.encode() + b"\n"
        except UnicodeEncodeError:  # half a character, which only the escaped form can hold
            return json.dumps(value, allow_nan=False).encode() + b"\n"

    def _append(self, data: bytes) -> None:
        with self._lock:
            before = os.fstat(self._file).st_size
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(self._file, left) :]
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.truncate(self._file, before)  # what comes next must not stand behind half a line
                error.filename = error.filename or os.fspath(self.path)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_journal(path: str | os.PathLike[str], kind: JournalKind) -> tuple[dict[str, Any], list[Record]]:
    """The header and the records of a file, even while it is written to: half a line at its end is passed over.

    Raises:
        FormatError: it is another kind of file, a line of it can't be read, or it is empty.
        OSError: there is no such file.
    """
    header, records, _ = _read(Path(path).read_bytes(), Path(path), kind)
    if header is None and not records:
        raise FormatError(kind.empty, path)
    return header or {}, records


def read_records(path: str | os.PathLike[str], kind: JournalKind) -> list[Record]:
    """The records of a file, without its header; an empty one has none. Raises as `read_journal`."""
    return _read(Path(path).read_bytes(), Path(path), kind)[1]


def check_header(
    path: str | os.PathLike[str],
    there: Mapping[str, Any],
    wanted: Mapping[str, Any],
    kind: JournalKind,
    another: str = "",
    labels: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Refuse a file whose header isn't the one that is wanted.

    `another` says what it is if a value differs, e.g. "keeps what another tuning found"; "" if values may differ. `labels` are
    names of keys in messages.

    Raises:
        FormatError: the header has other keys.
        StrategyError: a value is another.
    """
    there = {**dict.fromkeys(kind.later, _UNSAID), **there}
    if there.keys() != wanted.keys():
        raise FormatError(f"{kind.wrong_header} (its header has {', '.join(there) or 'nothing'})", path, 1)
    for name, value in wanted.items() if another else ():
        if there[name] != value:
            raise StrategyError(
                f"{path} {another}: its {labels.get(name, name)} is {there[name]!r}, this one's is {value!r}; name another "
                "file, or delete this one"
            )


def check_known(path: str | os.PathLike[str], depends_on: Mapping[str, str | None]) -> None:
    """Refuse to keep what depends on something that nothing tells from others (None). Raises StrategyError."""
    if unknown := [name for name, known in depends_on.items() if known is None]:
        raise StrategyError(
            f"{path} can't keep results: nothing tells {' and '.join(unknown)} from others, whose results would be taken for "
            "these. Take a function at the top of a module, or set a `fingerprint`, a text that changes whenever the results "
            "would; a retriever or a function that is measured may have name=…"
        )


def decode_records(
    records: Iterable[Record], decode: Callable[[dict[str, Any]], T], path: str | os.PathLike[str], kind: JournalKind
) -> list[T]:
    """Each record as `decode` reads it. Raises FormatError where one isn't what it should be."""
    found: list[T] = []
    for record in records:
        try:
            found.append(decode(record.value))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise FormatError(f"{kind.wrong_line} ({type(error).__name__}: {error})", path, record.line) from error
    return found


def _take(file: int, path: Path) -> None:
    """Lock the file, where the system has locks."""
    if sys.platform == "win32":  # pragma: no cover  # no such locks
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StrategyError(
            f"{path} is being written to by another process, or another call of this one: wait for its end, or name another "
            "file"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _read(data: bytes, path: Path, kind: JournalKind) -> tuple[dict[str, Any] | None, list[Record], int]:
    """The header, the records, and how many bytes are whole lines."""
    end = data.rfind(b"\n") + 1
    if _is_whole(data[end:]):
        end = len(data)
    elif not end and data and not _begins(data, kind):  # half a line of something else, which isn't ours to cut
        raise FormatError(kind.wrong_header, path, 1)
    header: dict[str, Any] | None = None
    records: list[Record] = []
    for number, line in enumerate(data[:end].removesuffix(b"\n").split(b"\n") if end else (), 1):
        value = _value(line, path, number, kind)
        if number == 1 and (not kind.bare or "kind" in value):
            if value.pop("kind", None) != kind.kind:
                raise FormatError(kind.wrong_header, path, 1)
            check_version(value, path, 1)
            header = {name: each for name, each in value.items() if name != "version"}
        else:
            records.append(Record(number, value))
    return header, records, end


def _value(line: bytes, path: Path, number: int, kind: JournalKind) -> dict[str, Any]:
    try:
        value = parse_json(line.decode("utf-8-sig"), path, number, halves=True)
    except UnicodeDecodeError as error:
        reason: str | None = f"not UTF-8 text: {error.reason}"
    except FormatError as error:
        reason = error.message
    else:
        if isinstance(value, dict):
            return value
        reason = None
    what = kind.wrong_header if number == 1 and not kind.bare else kind.wrong_line
    raise FormatError(what if reason is None else f"{reason}: {what}", path, number)


def _is_whole(line: bytes) -> bool:
    """Whether a last line is all there but its end, which editors leave out."""
    try:
        return line.endswith(b"}") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _begins(data: bytes, kind: JournalKind) -> bool:
    starts = [start.encode() for start in (kind.start, kind.bare) if start]
    return any(start.startswith(data) or data.startswith(start) for start in starts)

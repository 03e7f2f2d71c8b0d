"""Answers kept in a file of JSON lines as they come, so that an evaluation that was interrupted goes on where it stopped.

The first line says what is being evaluated; each other line is the answer to one topic. A topic that failed is asked
again; where a topic is there twice, the later line counts.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import FormatError, StrategyError
from .runs import Answer, Ranked, Run, Usage

__all__ = ["Header", "RunFile", "read_run_file"]

_KIND: Final = "qdrant-rerank run"


@dataclass(frozen=True)
class Header:
    """What a run file is about; only the same may go on in it.

    Attributes:
        system: the strategy, collection and model, or the kind of the foreign retriever.
        name: what tables call it.
        asked: the limit and scope.
        topics: the topics' fingerprint.
    """

    system: str
    name: str
    asked: str
    topics: str


class RunFile:
    """A run file that is written to.

    Args:
        path: the file; made if it isn't there.
        header: what is evaluated.

    Raises:
        StrategyError: the file is about something else.
        FormatError: a line of it can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self.done: dict[str, Answer] = {}
        if self.path.exists() and self.path.stat().st_size:
            _mend(self.path)
        if self.path.exists() and self.path.stat().st_size:
            there, answers = _read(self.path)
            _check(self.path, there, header)
            self.done = {topic: answer for topic, answer in answers.items() if answer.error is None}
        else:
            self._write({"kind": _KIND, **asdict(header)})

    def add(self, topic: str, answer: Answer) -> None:
        """Append the answer to one topic."""
        self._write({"topic": topic, **_shown(answer)})

    def _write(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False) + "\n"
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)


def read_run_file(path: str | os.PathLike[str]) -> Run:
    """The run that a run file holds, failed topics included.

    Raises:
        FormatError: it is no run file, or a line can't be read.
        OSError: there is no such file.
    """
    header, answers = _read(Path(path))
    return Run(header.name, answers, header.system)


def _mend(path: Path) -> None:
    """Cut off a last line that was being written when the process ended."""
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _read(path: Path) -> tuple[Header, dict[str, Answer]]:
    header: Header | None = None
    answers: dict[str, Answer] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                if header is None:
                    header = _header(record)
                else:
                    answers[record["topic"]] = _answer(record)
            except (ValueError, KeyError, TypeError) as error:
                what = f"not a line of a run file ({error})" if header else "not a run file of this package"
                raise FormatError(f"{what}: delete the file or name another one", path, number) from error
    if header is None:
        raise FormatError("the run file is empty", path)
    return header, answers


def _header(record: dict[str, Any]) -> Header:
    if record.pop("kind") != _KIND:
        raise ValueError("another kind of file")
    return Header(**record)


def _answer(record: Mapping[str, Any]) -> Answer:
    usage = record["usage"]
    return Answer(
        ranking=tuple(Ranked(str(document), float(score)) for document, score in record["ranking"]),
        usage=None if usage is None else Usage(**usage),
        milliseconds=record["milliseconds"],
        error=record["error"],
        duplicates=record["duplicates"],
        unread=record["unread"],
    )


def _shown(answer: Answer) -> dict[str, Any]:
    return {**asdict(answer), "ranking": [list(result) for result in answer.ranking]}


def _check(path: Path, there: Header, wanted: Header) -> None:
    labels = {"system": "system", "name": "name", "asked": "scope", "topics": "topics (fingerprint)"}
    for field, label in labels.items():
        old, new = getattr(there, field), getattr(wanted, field)
        if old != new:
            raise StrategyError(
                f"{path} holds results of another evaluation and can't be continued: its {label} is {old!r}, this one's is "
                f"{new!r}; name another run file, or delete this one"
            )

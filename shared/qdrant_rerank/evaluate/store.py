"""Answers kept in a file of JSON lines as they come, so that an evaluation that was interrupted goes on where it stopped.

The first line says what is being evaluated; each other line is the answer to one topic. A topic that failed is asked
again; where a topic is there twice, the later line counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from .. import StrategyError
from .._internals import Journal, JournalKind, decode_records, read_journal
from ..errors import FormatError
from .runs import Answer, Ranked, Run, Usage

__all__ = ["Header", "RunFile", "read_run_file"]

_NAME_ANOTHER: Final = "delete the file or name another one"
_KIND: Final = JournalKind(
    "qdrant-rerank run",
    wrong_header=f"not a run file of this package: {_NAME_ANOTHER}",
    wrong_line=f"not a line of a run file: {_NAME_ANOTHER}",
    empty="the run file is empty",
)


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


class RunFile(Journal):
    """A run file that is written to.

    Args:
        path: the file; made if it isn't there.
        about: what is evaluated.

    Attributes:
        done: the answers that are there already.

    Raises:
        StrategyError: the file is about something else, or is being written to.
        FormatError: a line of it can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], about: Header) -> None:
        super().__init__(path, _KIND, asdict(about), lambda there: _check(Path(path), _header(there, path), about))
        try:
            answers = dict(decode_records(self.records, _answer, path, _KIND))
        except BaseException:
            self.close()
            raise
        self.done = {topic: answer for topic, answer in answers.items() if answer.error is None}

    def keep(self, topic: str, answer: Answer) -> None:
        """Append the answer to one topic."""
        self.add({"topic": topic, **_shown(answer)})


def read_run_file(path: str | os.PathLike[str]) -> Run:
    """The run that a run file holds, failed topics included.

    Raises:
        FormatError: it is no run file, or a line can't be read.
        OSError: there is no such file.
    """
    there, records = read_journal(path, _KIND)
    header = _header(there, path)
    return Run(header.name, dict(decode_records(records, _answer, path, _KIND)), header.system)


def _header(there: dict[str, Any], path: str | os.PathLike[str]) -> Header:
    try:
        return Header(**there)
    except TypeError as error:
        raise FormatError(f"{_KIND.wrong_header} ({error})", path, 1) from error


def _answer(record: Mapping[str, Any]) -> tuple[str, Answer]:
    usage = record["usage"]
    return str(record["topic"]), Answer(
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
    labels = {"system": "system", "name": "name", "asked": "options", "topics": "topics (fingerprint)"}
    for field, label in labels.items():
        old, new = getattr(there, field), getattr(wanted, field)
        if old != new:
            raise StrategyError(
                f"{path} holds results of another evaluation and can't be continued: its {label} is {old!r}, this one's is "
                f"{new!r}; name another run file, or delete this one"
            )

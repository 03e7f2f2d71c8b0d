"""Topics, judgments and runs in files: BEIR's layout, tables, TREC's formats, and our own run files.

Errors name the file and the line.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from pydantic import ValidationError
from qdrant_client import models

from .._internals import (
    Journal,
    JournalKind,
    brief,
    check_header,
    check_known,
    decode_records,
    did_you_mean,
    lines_of,
    parse_json,
    read_journal,
)
from ..errors import FormatError
from .data import Answer, Qrels, Ranked, Run, Topic, Topics, Usage

Where: TypeAlias = str | os.PathLike[str]


def _is_json(path: Where) -> bool:
    return os.fspath(path).removesuffix(".gz").lower().endswith((".jsonl", ".ndjson", ".json"))


@contextmanager
def _at(path: Where, number: int | None = None) -> Generator[None]:
    """Say in a `FormatError` that doesn't yet which file, and which line, is to blame."""
    try:
        yield
    except FormatError as error:
        if error.path is None:
            raise FormatError(error.message, path, number) from error.__cause__
        raise


def rows_of(path: Where) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a CSV file (with a header), or the objects of a JSON lines file, each with its line's number."""
    if _is_json(path):
        for number, text in lines_of(path):
            yield number, json_object(text, path, number)
        return
    name = os.fspath(path).removesuffix(".gz").lower()
    if not name.endswith((".csv", ".tsv")):
        raise FormatError("the name must end in .jsonl, .csv or .tsv (or one of them and .gz), which says how to read it", path)
    numbers: list[int] = []

    def texts() -> Iterator[str]:
        for number, text in lines_of(path, empty=True):  # a text in quotes may have empty lines
            numbers.append(number)
            yield text + "\n"

    reader = csv.DictReader(texts(), delimiter="\t" if name.endswith(".tsv") else ",", strict=True)
    try:
        columns = list(reader.fieldnames or ())
        if len(set(columns)) < len(columns):
            twice = next(column for column in columns if columns.count(column) > 1)
            raise FormatError(f"the header has the column {twice!r} twice", path, numbers[-1])
        for row in reader:
            if None in row or None in row.values():
                raise FormatError(f"the header has {len(columns)} columns, this row has another number", path, numbers[-1])
            yield numbers[-1], row
    except csv.Error as error:
        raise FormatError(f"not CSV: {error}", path, numbers[-1] if numbers else None) from error


def json_object(text: str, path: Where | None = None, number: int = 1) -> dict[str, Any]:
    """The JSON object that a line holds. Raises FormatError where it holds none."""
    value = parse_json(text, path, number)
    if not isinstance(value, dict):
        raise FormatError(f"not a JSON object: {type(value).__name__}", path, number)
    return value


def value_text(row: Mapping[str, Any], key: str, path: Where | None = None, number: int | None = None) -> str:
    """The text (or number, as text) under `key`. Raises FormatError where it is missing, empty or something else."""
    if key not in row:
        raise FormatError(f"no {key!r}; there is {', '.join(map(repr, row)) or 'nothing'}", path, number)
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise FormatError(f"{key!r} must be text that isn't empty, got {brief(value)}", path, number)
    return str(value)


def grade_of(value: Any) -> int:
    """A grade: a whole number, perhaps as text. Raises FormatError where it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found) or found != int(found):
        raise FormatError(f"a grade must be a whole number (0 is not relevant, 1 and above is), got {brief(value)}")
    return int(found)


_COLUMNS: Final = ("query_id", "query", "doc_id", "grade", "filter", "params")

# what headers call their columns, without hyphens, underscores and capitals
_TOPIC_NAMES: Final = frozenset({"queryid", "qid", "topicid", "topic", "id"})
_TEXT_NAMES: Final = frozenset({"text", "query", "querytext", "question", "title"})
_DOCUMENT_NAMES: Final = frozenset({"corpusid", "docid", "documentid", "document", "doc", "passageid", "pid"})
_GRADE_NAMES: Final = frozenset({"score", "grade", "relevance", "rel", "label", "judgment"})


def read_beir(folder: Where, split: str = "test") -> tuple[Topics, Qrels]:
    """The topics and judgments of a folder as BEIR lays it out: `queries.jsonl` and `qrels/{split}.tsv`.

    Only queries of the split become topics; `evaluate` reports judged queries that aren't in `queries.jsonl`.

    Raises:
        FormatError: a file is malformed, or there is no such split.
        OSError: there is no `queries.jsonl`.
    """
    path = Path(folder) / "qrels" / f"{split}.tsv"
    if not path.exists():
        there = sorted(file.stem for file in path.parent.glob("*.tsv"))
        listed = ", ".join(there) or "none"
        raise FormatError(f"no judgments for the split {split!r}{did_you_mean(split, there)} (there are: {listed})", path)
    qrels = read_qrels(path)
    topics = read_topics(Path(folder) / "queries.jsonl")
    return topics.subset(set(qrels).intersection(topics.ids)), qrels


def read_topics(path: Where) -> Topics:
    """Topics of a file: JSON lines with `_id` (or `id`) and `text`, perhaps `filter` and `params`; or `id<TAB>text`.

    A first line that names the columns (`query-id<TAB>text`) is no topic, and says in which order they are. An id may be
    there twice only with the same text.

    Raises:
        FormatError: a line is malformed, or an id has two texts; carries path and line.
        OSError: there is no such file.
    """
    found: dict[str, Topic] = {}
    order: tuple[int, ...] | None = None
    for place, (number, line) in enumerate(lines_of(path)):
        with _at(path, number):
            if _is_json(path):
                record = json_object(line, path, number)
                topic = _topic(record, "_id" if "_id" in record else "id", "text")
            elif not place and (order := _columns(line.split("\t"), (_TOPIC_NAMES, _TEXT_NAMES))):
                continue
            else:
                cells = line.split("\t", 1)
                if len(cells) < 2 or not all(cell.strip() for cell in cells):
                    raise FormatError("a line of topics is the id, a tab, and the text of the query")
                id, text = (cells[column] for column in order or (0, 1))
                topic = Topic(id.strip(), text.strip())
            _add(found, topic)
    return _topics(found, path)


def read_qrels(path: Where) -> Qrels:
    """Judgments of a file as TREC writes it (`topic iteration document grade`) or BEIR (`topic<TAB>document<TAB>grade`).

    A first line that names the columns (`query-id corpus-id score`) says in which order they are.

    Raises:
        FormatError: a line is malformed, or a document has two grades for a topic; carries path and line.
        OSError: there is no such file.
    """
    grades: dict[str, dict[str, int]] = {}
    order: tuple[int, ...] | None = None
    width = 0
    for line_place, (number, line) in enumerate(lines_of(path)):
        parts = line.split("\t") if line.count("\t") in (2, 3) else line.split()
        with _at(path, number):
            if not line_place and _plain(parts[-1]) in _GRADE_NAMES | _DOCUMENT_NAMES | _TOPIC_NAMES:
                order, width = _columns(parts, (_TOPIC_NAMES, _DOCUMENT_NAMES, _GRADE_NAMES)), len(parts)
                if order is None:
                    raise FormatError(
                        f"the columns are {', '.join(parts)}: a header of judgments names the topic (query-id), the document "
                        "(corpus-id) and the grade (score)"
                    )
                continue
            if len(parts) not in (3, 4) or (order and len(parts) != width):
                raise FormatError(
                    f"a line of judgments has 4 columns (topic, iteration, document, grade) or 3 (topic, document, grade), "
                    f"this one has {len(parts)}"
                )
            topic, document, grade = (parts[place].strip() for place in order or (0, -2, -1))
            if not topic or not document:
                raise FormatError("the id of a topic or document is empty")
            _judge(grades, topic, document, grade_of(grade))
    return _qrels(grades, path)


def write_qrels(qrels: Qrels, path: Where) -> None:
    """Write judgments as TREC does.

    Raises:
        FormatError: an id has a space in it, which the format can't hold.
    """
    with _at(path):
        lines = [f"{_id(topic)} 0 {_id(document)} {grade}\n" for topic, of in qrels.items() for document, grade in of.items()]
    Path(path).write_text("".join(lines), "utf-8")


def read_judged(path: Where) -> tuple[Topics, Qrels]:
    """Topics and judgments of one table, a line for each judged pair: JSON lines, CSV or TSV with a header.

    Columns: `query_id`, `query`, `doc_id`, `grade`; perhaps `filter` (a filter of Qdrant's, as JSON) and `params` (a JSON
    object of request-time values). A query's filter and params must be the same in all its lines.

    Raises:
        FormatError: a column is missing or unknown, a value is unusable, or lines contradict each other; carries path and line.
        OSError: there is no such file.
    """
    topics: dict[str, Topic] = {}
    grades: dict[str, dict[str, int]] = {}
    for number, row in rows_of(path):
        with _at(path, number):
            for key in row:
                if key not in _COLUMNS:
                    hint = did_you_mean(key, _COLUMNS)
                    raise FormatError(f"unknown column {key!r}{hint} (columns are {', '.join(_COLUMNS)})")
            topic, document = _topic(row, "query_id", "query"), value_text(row, "doc_id")
            if "grade" not in row:
                raise FormatError(f"no 'grade'; there is {', '.join(map(repr, row))}")
            _add(topics, topic)
            _judge(grades, topic.id, document, grade_of(row["grade"]))
    return _topics(topics, path), _qrels(grades, path)


def _columns(cells: Sequence[str], wanted: Sequence[frozenset[str]]) -> tuple[int, ...] | None:
    """In which column each of the wanted is, if the cells are a header that names each of them once."""
    names = [_plain(cell) for cell in cells]
    places = [[place for place, name in enumerate(names) if name in known] for known in wanted]
    return tuple(place for [place] in places) if all(len(found) == 1 for found in places) else None


def _plain(cell: str) -> str:
    return cell.strip().lower().replace("-", "").replace("_", "")


def _topic(row: Mapping[str, Any], id_key: str, text_key: str) -> Topic:
    params = _json(row.get("params"))
    if not isinstance(params, dict):
        raise FormatError(f"'params' must be a JSON object, name → value, got {params!r}")
    return Topic(value_text(row, id_key).strip(), value_text(row, text_key), params, _filter(_json(row.get("filter"))))


def _json(value: Any) -> Any:
    """A JSON value: as it stands in JSON lines, as text in CSV; {} for nothing."""
    if value is None or value == "":
        return {}
    return json_object(value) if isinstance(value, str) else value


def _filter(value: Any) -> models.Filter | None:
    if not value:
        return None
    try:
        return models.Filter.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise FormatError(
            f"'filter' isn't a filter of Qdrant's: {problem['msg']}; a filter looks like "
            '{"must": [{"key": "town", "match": {"value": "Orvena"}}]}'
        ) from None


def _add(topics: dict[str, Topic], topic: Topic) -> None:
    there = topics.setdefault(topic.id, topic)
    for what in ("text", "filter", "params"):
        if getattr(there, what) != getattr(topic, what):
            raise FormatError(
                f"the topic {topic.id!r} was in the file before with another {what}: {getattr(there, what)!r}, here "
                f"{getattr(topic, what)!r}"
            )


def _judge(grades: dict[str, dict[str, int]], topic: str, document: str, grade: int) -> None:
    judged = grades.setdefault(topic, {})
    if judged.setdefault(document, grade) != grade:
        raise FormatError(f"document {document!r} has two grades for topic {topic!r}: {judged[document]} before, {grade} here")


def _topics(found: dict[str, Topic], path: Where) -> Topics:
    if not found:
        raise FormatError("there are no topics in the file", path)
    return Topics(found.values())


def _qrels(grades: dict[str, dict[str, int]], path: Where) -> Qrels:
    if not grades:
        raise FormatError("there are no judgments in the file", path)
    return Qrels(grades)


def read_run(path: Where, name: str | None = None) -> Run:
    """A run of a TREC file, ordered as trec_eval orders it: by score, ties by document id, both descending.

    Neither trec_eval nor this looks at the file's ranks.

    Args:
        path: the file; gzip is unpacked if the name ends in `.gz`.
        name: what tables call the run; the file's last column if None.

    Raises:
        FormatError: a line is malformed, a document is there twice for a topic, or the file is empty; carries path and line.
        OSError: there is no such file.
    """
    found: dict[str, dict[str, float]] = {}
    tag = ""
    for number, line in lines_of(path):
        parts = line.split()
        if len(parts) != 6:
            columns = "6 columns (topic, Q0, document, rank, score, name)"
            raise FormatError(f"a line of a run has {columns}, this one has {len(parts)}", path, number)
        topic, _, document, _, text, tag = parts
        scores = found.setdefault(topic, {})
        if document in scores:
            raise FormatError(f"document {document!r} is there twice for topic {topic!r}", path, number)
        scores[document] = _score(text, path, number)
    if not found:
        raise FormatError("the run is empty", path)
    answers: dict[str, Answer] = {}
    for topic, scores in found.items():
        ranking = sorted(scores.items(), key=lambda item: (item[1], item[0]), reverse=True)
        answers[topic] = Answer(tuple(Ranked(*item) for item in ranking))
    return Run(name or tag, answers, f"the run {tag!r} of {os.fspath(path)}")


def write_run(run: Run, path: Where) -> None:
    """Write a run as a TREC file that trec_eval orders as the run does.

    trec_eval goes by score alone: where a topic's scores don't fall strictly (ties, MMR), the number of results from the rank
    on stands for them. Topics without results have no lines; the format can't hold them.

    Raises:
        FormatError: an id has a space in it, or the name has none of its own, which the format can't hold.
    """
    tag = "_".join(run.name.split()) or "run"
    lines: list[str] = []
    with _at(path):
        for topic, answer in run.items():
            scores = _falling(answer.ranking)
            for rank, (result, score) in enumerate(zip(answer.ranking, scores, strict=True), 1):
                lines.append(f"{_id(topic)} Q0 {_id(result.doc_id)} {rank} {score} {tag}\n")
    Path(path).write_text("".join(lines), "utf-8")


def _id(id: str) -> str:
    if len(id.split()) != 1:
        raise FormatError(f"a TREC file can't hold the id {id!r}: its columns are separated by spaces")
    return id


def _falling(ranking: tuple[Ranked, ...]) -> list[float | int]:
    """The scores if they fall strictly as trec_eval reads them (32 bit), else numbers that do."""
    if all(np.float32(above.score) > np.float32(below.score) for above, below in pairwise(ranking)):
        return [result.score for result in ranking]
    return list(range(len(ranking), 0, -1))


def _score(text: str, path: Where, number: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise FormatError(f"a score must be a finite number, got {brief(text)}", path, number)
    return score


_NAME_ANOTHER: Final = "delete the file or name another one"
_KIND: Final = JournalKind(
    "qdrant-rerank run",
    wrong_header=f"not a run file of this package: {_NAME_ANOTHER}",
    wrong_line=f"not a line of a run file: {_NAME_ANOTHER}",
    empty="the run file is empty",
    later=("depends_on",),
)
_ABOUT: Final = {
    "system": "system",
    "name": "name",
    "asked": "options",
    "topics": "topics (fingerprint)",
    "depends_on": "setup (models, payload mapping, fixed filter)",
}
"""The keys of a header, and what messages call them."""


class RunFile(Journal):
    """A run file that is written to, made if it isn't there; `done` are the answers that are there already.

    Raises StrategyError: the file is about something else, or is being written to. Raises FormatError: a line of it can't be
    read.
    """

    def __init__(
        self, path: Where, system: str, name: str, asked: str, topics: str, depends_on: Mapping[str, str | None]
    ) -> None:
        check_known(path, depends_on)
        about = {"system": system, "name": name, "asked": asked, "topics": topics, "depends_on": dict(depends_on)}
        another = "holds results of another evaluation and can't be continued"
        super().__init__(path, _KIND, about, lambda there: check_header(path, there, about, _KIND, another, _ABOUT))
        try:
            answers = dict(decode_records(self.records, _answer, path, _KIND))
        except BaseException:
            self.close()
            raise
        self.done = {topic: answer for topic, answer in answers.items() if answer.error is None}

    def keep(self, topic: str, answer: Answer) -> None:
        """Append the answer to one topic."""
        self.add({"topic": topic, **asdict(answer), "ranking": [list(result) for result in answer.ranking]})


def read_run_file(path: Where) -> Run:
    """The run that a run file holds, failed topics included.

    Raises:
        FormatError: it is no run file, or a line can't be read.
        OSError: there is no such file.
    """
    there, records = read_journal(path, _KIND)
    check_header(path, there, dict.fromkeys(_ABOUT), _KIND)
    return Run(there["name"], dict(decode_records(records, _answer, path, _KIND)), there["system"])


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

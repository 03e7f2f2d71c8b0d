"""Topics and judgments from files: BEIR's layout, tables of queries and documents, and what TREC and BEIR write."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from qdrant_client import models

from .._internals import did_you_mean, lines_of
from ..errors import FormatError
from .lines import grade_of, json_object, rows_of, value_text
from .qrels import Qrels
from .topics import Topic, Topics

__all__ = ["read_beir", "read_judged", "read_qrels", "read_topics", "write_qrels"]

Where = str | os.PathLike[str]
_COLUMNS: Final = ("query_id", "query", "doc_id", "grade", "filter", "params")

# what headers call their columns, without hyphens, underscores and capitals
_TOPIC_NAMES: Final = frozenset({"queryid", "qid", "topicid", "topic", "id"})
_TEXT_NAMES: Final = frozenset({"text", "query", "querytext", "question", "title"})
_DOCUMENT_NAMES: Final = frozenset({"corpusid", "docid", "documentid", "document", "doc", "passageid", "pid"})
_GRADE_NAMES: Final = frozenset({"score", "grade", "relevance", "rel", "label", "judgment"})


def read_beir(folder: Where, split: str = "test") -> tuple[Topics, Qrels]:
    """The topics and judgments of a folder as BEIR lays it out: `queries.jsonl` and `qrels/{split}.tsv`.

    Only queries of the split become topics. Judged queries that aren't in `queries.jsonl` are reported by `evaluate`.

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

    A first line that names the columns (`query-id<TAB>text`) is no topic, and says in which order they are.

    An id may be there twice only with the same text.

    Raises:
        FormatError: a line is malformed, or an id has two texts; carries path and line.
        OSError: there is no such file.
    """
    found: dict[str, Topic] = {}
    first, order = True, None
    is_json = os.fspath(path).removesuffix(".gz").lower().endswith((".jsonl", ".ndjson", ".json"))
    for number, line in lines_of(path):
        if is_json:
            record = json_object(line, path, number)
            topic = _topic(record, "_id" if "_id" in record else "id", "text", path, number)
        else:
            cells = line.split("\t", 1)
            if first and (order := _columns(line.split("\t"), (_TOPIC_NAMES, _TEXT_NAMES))) is not None:
                first = False
                continue
            first = False
            if len(cells) < 2 or not all(cell.strip() for cell in cells):
                raise FormatError("a line of topics is the id, a tab, and the text of the query", path, number)
            id, text = (cells[place] for place in order or (0, 1))
            topic = Topic(id.strip(), text.strip())
        _add(found, topic, path, number)
    return _topics(found, path)


def read_qrels(path: Where) -> Qrels:
    """Judgments of a file as TREC writes it (`topic iteration document grade`) or BEIR (`topic<TAB>document<TAB>grade`).

    A first line that names the columns (`query-id corpus-id score`) says in which order they are.

    Raises:
        FormatError: a line is malformed, or a document has two grades for a topic; carries path and line.
        OSError: there is no such file.
    """
    grades: dict[str, dict[str, int]] = {}
    first, order, width = True, None, 0
    for number, line in lines_of(path):
        parts = line.split("\t") if line.count("\t") in (2, 3) else line.split()
        if first and _plain(parts[-1]) in _GRADE_NAMES | _DOCUMENT_NAMES | _TOPIC_NAMES and not _is_number(parts[-1]):
            order = _columns(parts, (_TOPIC_NAMES, _DOCUMENT_NAMES, _GRADE_NAMES))
            if order is None:
                raise FormatError(
                    f"the columns are {', '.join(parts)}: a header of judgments names the topic (query-id), the document "
                    "(corpus-id) and the grade (score)",
                    path,
                    number,
                )
            width, first = len(parts), False
            continue
        first = False
        if len(parts) not in (3, 4) or (order and len(parts) != width):
            raise FormatError(
                f"a line of judgments has 4 columns (topic, iteration, document, grade) or 3 (topic, document, grade), "
                f"this one has {len(parts)}",
                path,
                number,
            )
        topic, document, grade = (parts[place].strip() for place in order or (0, -2, -1))
        if not topic or not document:
            raise FormatError("the id of a topic or document is empty", path, number)
        _judge(grades, topic, document, grade_of(grade, path, number), path, number)
    return _qrels(grades, path)


def write_qrels(qrels: Qrels, path: Where) -> None:
    """Write judgments as TREC does.

    Raises:
        FormatError: an id has a space in it, which the format can't hold.
    """
    lines: list[str] = []
    for topic, judged in qrels.items():
        for document, grade in judged.items():
            for id in (topic, document):
                if len(id.split()) != 1:
                    raise FormatError(f"a TREC file can't hold the id {id!r}: its columns are separated by spaces", path)
            lines.append(f"{topic} 0 {document} {grade}\n")
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
        for key in row:
            if key not in _COLUMNS:
                hint = did_you_mean(key, _COLUMNS)
                raise FormatError(f"unknown column {key!r}{hint} (columns are {', '.join(_COLUMNS)})", path, number)
        topic = _topic(row, "query_id", "query", path, number)
        document = value_text(row, "doc_id", path, number)
        if "grade" not in row:
            raise FormatError(f"no 'grade'; there is {', '.join(map(repr, row))}", path, number)
        _add(topics, topic, path, number)
        _judge(grades, topic.id, document, grade_of(row["grade"], path, number), path, number)
    return _topics(topics, path), _qrels(grades, path)


def _columns(cells: Sequence[str], wanted: Sequence[frozenset[str]]) -> tuple[int, ...] | None:
    """In which column each of the wanted is, if the cells are a header that names each of them once."""
    names = [_plain(cell) for cell in cells]
    places = [[place for place, name in enumerate(names) if name in known] for known in wanted]
    return tuple(place for [place] in places) if all(len(found) == 1 for found in places) else None


def _plain(cell: str) -> str:
    return cell.strip().lower().replace("-", "").replace("_", "")


def _is_number(cell: str) -> bool:
    return cell.strip().lstrip("+-").isdecimal()


def _topic(row: Mapping[str, Any], id_key: str, text_key: str, path: Where, number: int) -> Topic:
    params = _json(row.get("params"), "params", path, number)
    if not isinstance(params, dict):
        raise FormatError(f"'params' must be a JSON object, name → value, got {params!r}", path, number)
    return Topic(
        value_text(row, id_key, path, number).strip(),
        value_text(row, text_key, path, number),
        params,
        _filter(_json(row.get("filter"), "filter", path, number), path, number),
    )


def _json(value: Any, key: str, path: Where, number: int) -> Any:
    """A JSON value: as it stands in JSON lines, as text in CSV; {} for nothing."""
    if value is None or value == "":
        return {}
    return json_object(value, f"{path}", number) if isinstance(value, str) else value


def _filter(value: Any, path: Where, number: int) -> models.Filter | None:
    if not value:
        return None
    try:
        return models.Filter.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        raise FormatError(
            f"'filter' isn't a filter of Qdrant's: {problem['msg']}; a filter looks like "
            '{"must": [{"key": "town", "match": {"value": "Orvena"}}]}',
            path,
            number,
        ) from None


def _add(topics: dict[str, Topic], topic: Topic, path: Where, number: int) -> None:
    there = topics.setdefault(topic.id, topic)
    for what in ("text", "filter", "params"):
        if getattr(there, what) != getattr(topic, what):
            raise FormatError(
                f"the topic {topic.id!r} was in the file before with another {what}: {getattr(there, what)!r}, here "
                f"{getattr(topic, what)!r}",
                path,
                number,
            )


def _judge(grades: dict[str, dict[str, int]], topic: str, document: str, grade: int, path: Where, number: int) -> None:
    judged = grades.setdefault(topic, {})
    if judged.setdefault(document, grade) != grade:
        raise FormatError(
            f"document {document!r} has two grades for topic {topic!r}: {judged[document]} before, {grade} here", path, number
        )


def _topics(found: dict[str, Topic], path: Where) -> Topics:
    if not found:
        raise FormatError("there are no topics in the file", path)
    return Topics(found.values())


def _qrels(grades: dict[str, dict[str, int]], path: Where) -> Qrels:
    if not grades:
        raise FormatError("there are no judgments in the file", path)
    return Qrels(grades)

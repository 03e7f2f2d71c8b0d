"""Logs in files: JSON lines, CSV, Parquet, and SVMlight with `qid:` as ranking libraries read it.

JSON lines and Parquet hold the features' definitions and the candidates too. CSV and SVMlight have no place for them: a second
file beside theirs does, `NAME.meta.json`.
"""

from __future__ import annotations

import csv
import errno
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from pydantic import TypeAdapter

from .._internals import (
    VERSION,
    Journal,
    JournalKind,
    Record,
    Reference,
    TrainedVector,
    brief,
    check_version,
    lines_of,
    load_extra,
    parse_json,
    read_journal,
    read_text,
)
from ..errors import FormatError
from ..evaluate._internals import rows_of
from .features import RESERVED, candidates_from_json, candidates_json, feature_json, features_from_json
from .log import FeatureLog, LogCoverage, TopicRows, assemble_log

T = TypeVar("T")
Where = str | os.PathLike[str]
_ENDINGS: Final = ".jsonl, .csv, .parquet or .svm"
_MADE_BY: Final = "a log is what log_features, or `qdrant-rerank features`, makes of judgments"


def write_log(log: FeatureLog, path: Where) -> None:
    """Write a log as the name's ending says: .jsonl, .csv, .parquet (needs pyarrow) or .svm.

    Raises:
        FormatError: another ending.
        MissingExtra: pyarrow isn't installed.
    """
    match Path(path).suffix:
        case ".jsonl":
            _write_jsonl(log, Path(path))
        case ".csv":
            with Path(path).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow([*RESERVED, *log.names])
                writer.writerows([_plain(value, "") for value in row.values()] for row in log.as_rows())
            _write_meta(log, path)
        case ".svm" | ".svmlight" | ".libsvm":
            Path(path).write_text("".join(_svm_lines(log)), "utf-8")
            _write_meta(log, path)
        case ".parquet":
            _write_parquet(log, path)
        case ending:
            raise FormatError(f"the name of a log must end in {_ENDINGS}, got {ending!r}", path)


def read_log(path: Where) -> FeatureLog:
    """Read a log that `write_log` or `log_features(path=…)` wrote.

    Raises:
        FormatError: it isn't one; carries path and line.
        MissingExtra: pyarrow isn't installed, for Parquet.
        OSError: there is no such file.
    """
    about = path  # the file that says what the features are
    match Path(path).suffix:
        case ".jsonl":
            header, topics, last = read_stream(path)
            meta, groups = header | last, list(topics.values())
        case ".csv":
            about, meta = _beside(path), _read_meta(path)
            groups = _group(_csv_rows(path, list(meta["features"])))
        case ".svm" | ".svmlight" | ".libsvm":
            about, meta = _beside(path), _read_meta(path)
            groups = _group(_svm_rows(path, len(meta["features"])))
        case ".parquet":
            meta, groups = _read_parquet(path)
        case ending:
            raise FormatError(f"the name of a log must end in {_ENDINGS}, got {ending!r}: {_MADE_BY}", path)
    features = features_from_json(meta["features"], about)
    references = _part(dict[str, Any], meta.get("reference", {}), "how features are distributed", about)
    reference = {name: _part(Reference, one, "how a feature is distributed", about) for name, one in references.items()}
    candidates = candidates_from_json(meta.get("candidates"), about)
    vectors = _part(tuple[TrainedVector, ...], meta.get("vectors", []), "by which vectors candidates were found", about)
    try:
        log = assemble_log(features, candidates, groups, reference, LogCoverage(), vectors)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"a grade, a weight or a feature is no number: {error}", path) from error
    if "coverage" not in meta:
        return log
    keys = [each.name for each in fields(LogCoverage)]
    return replace(log, coverage=_part(LogCoverage, meta["coverage"], "what a log says that it leaves out", about, keys))


def _meta(log: FeatureLog) -> dict[str, Any]:
    return {
        "kind": KIND,
        "version": VERSION,
        "fingerprint": log.fingerprint,
        "features": {name: feature_json(feature) for name, feature in log.features.items()},
        "candidates": candidates_json(log.candidates),
        "reference": {name: one.as_dict() for name, one in log.reference.items()},
        "coverage": log.coverage.as_dict(),
        "vectors": [asdict(each) for each in log.vectors],
    }


def _write_meta(log: FeatureLog, path: Where) -> None:
    _beside(path).write_text(json.dumps(_meta(log), ensure_ascii=False, indent=1) + "\n", "utf-8")


def _read_meta(path: Where) -> dict[str, Any]:
    beside = _beside(path)
    if not beside.exists():
        if not Path(path).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        raise FormatError(
            f"there is no {beside.name} beside it, which says what the features and candidates are: {_MADE_BY}", path
        )
    return _json(read_text(beside), beside)


def _json(text: str, path: Where) -> dict[str, Any]:
    value = parse_json(text, path)
    if not isinstance(value, dict) or not isinstance(value.get("features"), dict) or not value["features"]:
        raise FormatError("not what a log says of its features", path)
    check_version(value, path)
    return value


def _beside(path: Where) -> Path:
    return Path(f"{os.fspath(path)}.meta.json")


def _write_jsonl(log: FeatureLog, path: Path) -> None:
    meta = _meta(log)
    reference = meta.pop("reference")
    rows = ((topic, tuple(_plain(value, None) for value in rest)) for topic, *rest in (row.values() for row in log.as_rows()))
    topics = [replace(each, missed=tuple(log.coverage.missed.get(each.topic, ()))).as_json() for each in _group(rows)]
    lines = [meta, *topics, {"reference": reference}]
    path.write_text("".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines), "utf-8")


def _plain(value: Any, missing: Any) -> Any:
    """A value as files have it: whole numbers for bools, `missing` for NaN."""
    return int(value) if isinstance(value, bool) else missing if value != value else value


def _csv_rows(path: Where, names: list[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for number, row in rows_of(path):
        if list(row) != [*RESERVED, *names]:
            raise FormatError(f"the columns must be {', '.join([*RESERVED, *names])}; there is {', '.join(row)}", path, number)
        try:
            values = [float(row[name]) if row[name] != "" else math.nan for name in names]
            yield row["topic"], (row["document"], int(row["grade"]), int(row["judged"]), float(row["weight"]), *values)
        except ValueError as error:
            raise FormatError(f"not a number: {error}", path, number) from None


def _svm_lines(log: FeatureLog) -> Iterator[str]:
    """`grade qid:N 1:x 2:y # [topic, document, judged, weight]`, without NaN, which the format doesn't have."""
    numbers = {topic: number for number, topic in enumerate(log.topic_ids, 1)}
    for row in sorted(log.as_rows(), key=lambda row: numbers[row["topic"]]):  # a query's rows stand together
        topic, document, grade, judged, weight, *values = row.values()
        cells = " ".join(f"{number}:{value!r}" for number, value in enumerate(values, 1) if not math.isnan(value))
        yield f"{grade} qid:{numbers[topic]} {cells} # {json.dumps([topic, document, int(judged), weight])}\n"


def _svm_rows(path: Where, width: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for number, line in lines_of(path):
        cells, _, about = line.partition("#")
        try:
            grade, _, *numbered = cells.split()
            topic, document, judged, weight = parse_json(about)
            values = [math.nan] * width
            for cell in numbered:
                index, _, value = cell.partition(":")
                if not 1 <= int(index) <= width:
                    raise ValueError(f"there is no feature {index}, they go from 1 to {width}")
                values[int(index) - 1] = float(value)
            row = (str(document), int(grade), int(judged), float(weight), *values)
        except (ValueError, TypeError) as error:
            expected = 'GRADE qid:N 1:VALUE … # ["topic", "document", judged, weight]'
            raise FormatError(f"expected {expected}: {error}", path, number) from None
        yield str(topic), row


def _group(rows: Iterator[tuple[str, tuple[Any, ...]]]) -> list[TopicRows]:
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for topic, row in rows:
        groups.setdefault(topic, []).append(row)
    return [TopicRows(topic, tuple(found)) for topic, found in groups.items()]


def _arrow() -> tuple[Any, ...]:
    return tuple(load_extra(name, "logs as Parquet (pyarrow)", "parquet") for name in ("pyarrow", "pyarrow.parquet"))


def _write_parquet(log: FeatureLog, path: Where) -> None:
    arrow, parquet = _arrow()
    columns = {"topic": log.topics.tolist(), "document": log.documents.tolist(), "grade": log.grades, "judged": log.judged}
    columns |= {"weight": log.weights} | {name: log.column(name) for name in log.names}
    table = arrow.table(columns).replace_schema_metadata({KIND: json.dumps(_meta(log), ensure_ascii=False)})
    parquet.write_table(table, path)


def _read_parquet(path: Where) -> tuple[dict[str, Any], list[TopicRows]]:
    arrow, parquet = _arrow()
    try:
        table = parquet.read_table(path)
    except arrow.ArrowInvalid as error:
        raise FormatError(f"not a Parquet file: {error}", path) from None
    text = (table.schema.metadata or {}).get(KIND.encode())
    if text is None:
        raise FormatError("this Parquet file holds no log: it doesn't say what the features and candidates are", path)
    meta = _json(text.decode(), path)
    names = [*RESERVED, *meta["features"]]
    if lacking := [name for name in names if name not in table.column_names]:
        raise FormatError(f"the file has no column {', '.join(lacking)}; it has {', '.join(table.column_names)}", path)
    columns = [table.column(name).to_pylist() for name in names]
    return meta, _group((row[0], row[1:]) for row in zip(*columns, strict=True))


def _part(kind: type[T], value: Any, what: str, path: Where, keys: Iterable[str] = ()) -> T:
    try:
        if keys and not set(keys) <= value.keys():
            raise ValueError("a key is missing")
        return TypeAdapter(kind).validate_python(value)
    except (AttributeError, ValueError) as error:  # pydantic's is a ValueError
        raise FormatError(f"not {what}: {json.dumps(value)[:100]}", path) from error


KIND: Final = "feature_log"
_JOURNAL: Final = JournalKind(
    KIND,
    wrong_header='the first line must be the log\'s header, {"kind": "feature_log", …}: a log is what log_features, or '
    "`qdrant-rerank features`, makes of judgments",
    wrong_line="a line must be an object with topic, missed, fetched and rows",
    empty="the file is empty: a log begins with a header",
)


class LogStream:
    """Topics as they are logged (`done`), and the file that they are appended to, if there is one.

    `header` says what the log is of; that of a file, with the moment that its first run began, must agree. Raises FormatError
    where it is of another log, or malformed; StrategyError where it is being written to.
    """

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.header: Mapping[str, Any] = header
        self.done: dict[str, TopicRows] = {}
        self._journal: Journal | None = None
        if path is None:
            return
        about = {key: value for key, value in header.items() if key not in ("kind", "version")}
        self._journal = Journal(path, _JOURNAL, about, lambda there: self._check(path, there))
        self.header = self._journal.header
        try:
            self.done, _ = _split(self.header, self._journal.records, path)
        except BaseException:
            self.close()
            raise

    def add(self, rows: TopicRows) -> None:
        """Keep a topic's rows."""
        self.done[rows.topic] = rows
        if self._journal is not None:
            self._journal.add(rows.as_json())

    def finish(self, more: Mapping[str, Any]) -> None:
        """Keep the last line, which is known only at the end."""
        if self._journal is not None:
            self._journal.add(more)

    def close(self) -> None:
        """Let others write to the file."""
        if self._journal is not None:
            self._journal.close()

    def _check(self, path: Path, there: Mapping[str, Any]) -> None:
        if there.get("fingerprint") != self.header["fingerprint"]:
            raise FormatError(
                "this log is of other topics, judgments, candidates, features, options, encoders or another fixed filter "
                f"({there.get('fingerprint')}, not {self.header['fingerprint']}): remove it, or give another path",
                path,
                1,
            )


def read_stream(path: Where) -> tuple[dict[str, Any], dict[str, TopicRows], dict[str, Any]]:
    """The header, the topics and the last line. Raises FormatError where it is another file, OSError where there is none."""
    header, records = read_journal(path, _JOURNAL)
    return header, *_split(header, records, path)


def _split(header: Mapping[str, Any], records: Sequence[Record], path: Where) -> tuple[dict[str, TopicRows], dict[str, Any]]:
    """The topics, and the last line."""
    features = header.get("features")
    if not isinstance(features, dict) or not features:
        raise FormatError(f"features must be an object of name to feature, got {brief(features)}", path, 1)
    topics: dict[str, TopicRows] = {}
    last: dict[str, Any] = {}
    for record in records:
        if "reference" in record.value:
            last = record.value
        else:
            rows = _read_topic(record, len(features), path)
            topics[rows.topic] = rows
    return topics, last


def _read_topic(record: Record, width: int, path: Where) -> TopicRows:
    match record.value:
        case {"topic": str(topic), "rows": list(rows), "missed": list(missed), "fetched": int(fetched)}:
            if _are_rows(rows, width):
                return TopicRows(topic, tuple(tuple(row) for row in rows), tuple(map(str, missed)), fetched)
        case _:
            pass
    raise FormatError(_JOURNAL.wrong_line, path, record.line)


def _are_rows(rows: Sequence[Any], width: int) -> bool:
    """Whether each is a document, its grade, whether it was judged, its weight and the features, which may be missing."""
    try:
        numbers = np.array([row[1:] for row in rows], dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, KeyError, OverflowError):
        return False
    return not rows or (numbers.shape == (len(rows), 3 + width) and bool(np.isfinite(numbers[:, :3]).all()))

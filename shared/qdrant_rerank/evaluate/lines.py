"""Rows of text files, and values in them, with errors that name file and line."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from .._internals import brief, lines_of, parse_json
from ..errors import FormatError

__all__ = ["grade_of", "json_object", "rows_of", "value_text"]


def rows_of(path: str | os.PathLike[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a CSV file (with a header), or the objects of a JSON lines file, each with its line's number."""
    name = os.fspath(path).removesuffix(".gz").lower()
    if name.endswith((".jsonl", ".ndjson", ".json")):
        for number, text in lines_of(path):
            yield number, json_object(text, path, number)
        return
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
                raise FormatError(
                    f"the header has {len(reader.fieldnames or ())} columns, this row has another number", path, numbers[-1]
                )
            yield numbers[-1], row
    except csv.Error as error:
        raise FormatError(f"not CSV: {error}", path, numbers[-1] if numbers else None) from error


def json_object(text: str, path: str | os.PathLike[str], number: int) -> dict[str, Any]:
    """The JSON object that a line holds.

    Raises:
        FormatError: it holds none.
    """
    value = parse_json(text, path, number)
    if not isinstance(value, dict):
        raise FormatError(f"not a JSON object: {type(value).__name__}", path, number)
    return value


def value_text(row: Mapping[str, Any], key: str, path: str | os.PathLike[str], number: int) -> str:
    """The text (or number, as text) under `key`.

    Raises:
        FormatError: it is missing, empty or something else.
    """
    if key not in row:
        raise FormatError(f"no {key!r}; there is {', '.join(map(repr, row)) or 'nothing'}", path, number)
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise FormatError(f"{key!r} must be text that isn't empty, got {brief(value)}", path, number)
    return str(value)


def grade_of(value: Any, path: str | os.PathLike[str], number: int) -> int:
    """A grade: a whole number, perhaps as text.

    Raises:
        FormatError: it is none.
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found) or found != int(found):
        raise FormatError(
            f"a grade must be a whole number (0 is not relevant, 1 and above is), got {brief(value)}", path, number
        )
    return int(found)

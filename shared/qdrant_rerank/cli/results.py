"""Found points as a table or as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qdrant_client import models
from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from .._internals import PRESETS, Points, ResultReason, notes_of, selected, value_at
from .consoles import make_table, results_console

__all__ = [
    "TEXT_KEYS",
    "absent_keys",
    "first_text",
    "llama_index_text",
    "keys_to_load",
    "print_json_lines",
    "print_table",
    "id_of",
    "name_of",
    "describe_value",
]

TEXT_KEYS: Final = "title,text,page_content"
_WIDEST: Final = 20
_NARROW: Final = 6
_GAP: Final = 2
_NARROWEST: Final = 24
_NODE: Final = "_node_content"  # LlamaIndex keeps the text in here


def keys_to_load(text_keys: Sequence[str], shown: Sequence[str]) -> list[str]:
    """The payload keys that the table needs of Qdrant."""
    return list(dict.fromkeys([*text_keys, *shown, "_id", _NODE]))


def absent_keys(points: Points, shown: Sequence[str]) -> list[str]:
    """Those of the keys `shown` that no point has."""
    return [key for key in shown if points and all(value_at(point.payload or {}, key) is None for point in points)]


def print_table(
    points: Points, text_keys: Sequence[str], shown: Sequence[str], seconds: float, threshold: float | None = None
) -> None:
    """Print points, one line each, with their scores, the first words of their text, and the payload keys `shown`."""
    console = results_console()
    if not points:
        console.print("nothing found" if threshold is None else f"nothing reaches {threshold:g} (--score-threshold)")
        return
    payloads = [point.payload or {} for point in points]
    columns = [
        _Column("#", [str(rank) for rank in range(1, len(points) + 1)], "dim", is_numeric=True),
        _Column("score", [f"{point.score:.4g}" for point in points], "cyan", is_numeric=True),
        _Column("id", list(map(id_of, points)), "dim"),
        _Column("text", [" ".join(first_text(payload, text_keys).split())[:300] for payload in payloads]),
        *(_of_payload(key, payloads) for key in shown),
    ]
    columns[2:2] = _of_notes(points)
    console.print(_table(columns, console.width))
    console.print(f"the best {len(points)}, in {seconds * 1000:.0f} ms", style="dim")


@dataclass(frozen=True)
class _Column:
    """A heading and its cells."""

    heading: str
    cells: Sequence[str]
    style: str = ""
    is_numeric: bool = False

    @property
    def width(self) -> int:
        return min(_WIDEST, max(map(cell_len, [self.heading, *self.cells])))


def _of_notes(points: Points) -> Iterator[_Column]:
    """What a model and the search before it gave each point, where they gave any."""
    for heading, *notes in (("model", "relevance_score", "feedback_score"), ("search", "retrieval_score")):
        values = [next((given[note] for note in notes if note in given), None) for given in map(notes_of, points)]
        if any(value is not None for value in values):
            cells = ["–" if value is None else f"{value:.4g}" for value in values]
            yield _Column(heading, cells, "dim", is_numeric=True)


def _of_payload(key: str, payloads: Sequence[Mapping[str, Any]]) -> _Column:
    values = [value_at(payload, key) for payload in payloads]
    return _Column(key, list(map(describe_value, values)), is_numeric=all(map(_is_number, values)))


def _table(columns: Sequence[_Column], width: int) -> Table:
    """A table of the width of the terminal: the text's column takes what the others leave, but no less than 24 cells."""
    table = make_table()
    table.expand = True
    place = next(place for place, column in enumerate(columns) if column.heading == "text" and not column.is_numeric)
    first, text, rest = columns[:place], columns[place], columns[place + 1 :]
    left = width - _NARROWEST - sum(column.width for column in first) - _GAP * (len(columns) - 1)
    for column in columns:
        own: int | None = None if column is text else column.width
        if column in rest and sum(each.width for each in rest) > left:
            own = max(_NARROW, min(column.width, left // len(rest)))
        justify: JustifyMethod = "right" if column.is_numeric else "left"
        ratio = 1 if column is text else None
        table.add_column(
            column.heading, style=column.style, justify=justify, width=own, ratio=ratio, no_wrap=True, overflow="ellipsis"
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table


def print_json_lines(points: Points, chosen: models.WithPayloadInterface, reasons: Sequence[ResultReason] = ()) -> None:
    """Print points as JSON, one object a line: rank, id, score, chosen payload, and notes and explanation if there are any."""
    for rank, point in enumerate(points, 1):
        record = {"rank": rank, "id": point.id, "score": point.score, "payload": selected(point.payload, chosen)}
        if notes := notes_of(point):
            record["notes"] = dict(notes)
        if reasons:
            record["explanation"] = reasons[rank - 1].as_dict()
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")


def id_of(point: models.ScoredPoint) -> str:
    """What a point is called: as in the corpus that it was indexed from, else its id."""
    return str((point.payload or {}).get("_id", point.id))


def name_of(point: models.ScoredPoint, text_keys: Sequence[str]) -> str:
    """A point's id and the first words of its text."""
    return f"{id_of(point)}  {' '.join(first_text(point.payload or {}, text_keys).split())[:100]}".rstrip()


def first_text(payload: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The text under the first of `keys` that has any; "" if none has."""
    for key in keys:
        value = value_at(payload, key)
        if isinstance(value, str) and value.strip():
            return value
    return llama_index_text(payload)


def llama_index_text(payload: Mapping[str, Any]) -> str:
    """The text of a point that LlamaIndex wrote; "" of another's."""
    return PRESETS["llama_index"].content(payload).text if _NODE in payload else ""


def describe_value(value: Any) -> str:
    """A payload value as a table cell."""
    match value:
        case None:
            return "–"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case {"lat": lat, "lon": lon}:
            return f"{lat:g}, {lon:g}"
        case str() | int():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))

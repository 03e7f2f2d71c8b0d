"""What `search`, `--explain` and `--compare` print: found points, and why they are where they are, as tables and as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any, Final

from qdrant_client import models
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .._internals import (
    PRESETS,
    CandidateHit,
    Explained,
    Points,
    ResultReason,
    Seed,
    Steering,
    brief_term,
    notes_of,
    select_payload,
    term_columns,
    value_at,
)
from .output import CommandError, make_table, results_console, show_table

TEXT_KEYS: Final = "title,text,page_content"
_NODE: Final = "_node_content"  # LlamaIndex keeps the text in here


# What is shown of a point


def keys_to_load(text_keys: Sequence[str], shown: Sequence[str]) -> list[str]:
    """The payload keys that the table needs of Qdrant."""
    return list(dict.fromkeys([*text_keys, *shown, "_id", _NODE]))


def absent_keys(points: Points, shown: Sequence[str]) -> list[str]:
    """Those of the keys that no point has."""
    return [key for key in shown if points and all(value_at(point.payload or {}, key) is None for point in points)]


def id_of(point: models.ScoredPoint) -> str:
    """A point's name in its corpus, else its id."""
    return str((point.payload or {}).get("_id", point.id))


def name_of(point: models.ScoredPoint, text_keys: Sequence[str]) -> str:
    """A point's id and the first words of its text."""
    return f"{id_of(point)}  {_one_line(first_text(point.payload or {}, text_keys))[:100]}".rstrip()


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


def _one_line(text: str) -> str:
    return " ".join(text.split())


# Tables whose columns know how wide they are


_GAP: Final = 2
_WIDEST: Final = 20


@dataclass(frozen=True)
class _Column:
    """A heading, of one line or two, and its cells: texts on the left, numbers on the right."""

    heading: str
    cells: Sequence[str]
    style: str = ""
    is_text: bool = False

    @property
    def longest(self) -> int:
        """The width of the widest cell; `width` is at most 20."""
        return max(map(cell_len, [*self.heading.splitlines(), *self.cells]))

    @property
    def width(self) -> int:
        return min(_WIDEST, self.longest)


def _make_table(columns: Iterable[tuple[_Column, Mapping[str, Any]]]) -> Table:
    """A table of columns, each with further arguments for rich; what is too wide for its column is cut."""
    table, cells = make_table(), list[Sequence[str]]()
    for column, how in columns:
        justify: Any = "left" if column.is_text else "right"
        heading = Text(column.heading)
        table.add_column(
            heading, style=column.style, justify=justify, vertical="bottom", no_wrap=True, overflow="ellipsis", **how
        )
        cells.append(column.cells)
    for row in zip(*cells, strict=True):
        table.add_row(*map(Text, row))
    return table


# Found points


_NARROWEST: Final = 24
_UUID: Final = 36
_SHORT: Final = 8  # characters of a UUID that mostly tell results apart


def print_table(
    points: Points, text_keys: Sequence[str], shown: Sequence[str], seconds: float, threshold: float | None = None
) -> None:
    """Print points: score, first words of the text, and the payload keys `shown`.

    One a line, or where the window is too narrow for 24 cells of text beside the rest, each on lines of its own.
    """
    console = results_console()
    if not points:
        console.print("nothing found" if threshold is None else f"nothing reaches {threshold:g} (--score-threshold)")
        return
    payloads = [point.payload or {} for point in points]
    first = [
        _Column("#", [str(rank) for rank in range(1, len(points) + 1)], "dim"),
        _Column("score", [f"{point.score:.4g}" for point in points], "cyan"),
        *_note_columns(points),
        _Column("id", _brief_ids(list(map(id_of, points))), "dim", is_text=True),
    ]
    text = _Column("text", [_one_line(first_text(payload, text_keys))[:300] for payload in payloads], is_text=True)
    rest = [_payload_column(key, name, payloads) for key, name in zip(shown, _brief_keys(shown), strict=True)]
    if sum(column.width + _GAP for column in [*first, *rest]) + _NARROWEST > console.width:
        _print_lines(console, first, text, rest)
    else:
        others = [[(column, {"width": column.width}) for column in some] for some in (first, rest)]
        table = _make_table([*others[0], (text, {"ratio": 1}), *others[1]])
        table.expand = True
        console.print(table)
    console.print(f"the best {len(points)}, in {seconds * 1000:.0f} ms", style="dim")


def _print_lines(console: Console, first: Sequence[_Column], text: _Column, rest: Sequence[_Column]) -> None:
    """Print each row on lines of its own: its number and id, its text, its other cells with their headings."""
    numbers, *others, ids = first
    for row, number in enumerate(numbers.cells):
        console.print(Text.assemble((f"{number:>{numbers.longest}}  ", "dim"), (ids.cells[row], "bold")))
        named = ", ".join(f"{column.heading} {_clip(column.cells[row])}" for column in [*others, *rest])
        for line in filter(None, (_clip(text.cells[row]), named)):
            console.print(Padding(Text(line), (0, 0, 0, numbers.longest + _GAP)))


def _clip(cell: str, longest: int = 100) -> str:
    return cell if len(cell) <= longest else f"{cell[: longest - 1]}…"


def _note_columns(points: Points) -> Iterator[_Column]:
    """What a model and the search before it gave each point, where they gave any."""
    for heading, *notes in (("model", "relevance_score", "feedback_score"), ("search", "retrieval_score")):
        values = [next((given[note] for note in notes if note in given), None) for given in map(notes_of, points)]
        if any(value is not None for value in values):
            yield _Column(heading, ["–" if value is None else f"{value:.4g}" for value in values], "dim")


def _brief_ids(ids: list[str]) -> list[str]:
    """Ids as the table shows them: of UUIDs the beginning, if it tells them apart."""
    brief = [each[:_SHORT] for each in ids]
    if any(len(each) != _UUID for each in ids) or len(set(brief)) < len(ids):
        return ids
    return [f"{each}…" for each in brief]


def _brief_keys(keys: Sequence[str]) -> list[str]:
    """The last parts of keys, `rating` of `metadata.rating`, where they tell them apart."""
    last = [key.rpartition(".")[2] for key in keys]
    return last if len(set(last)) == len(last) else list(keys)


def _payload_column(key: str, name: str, payloads: Sequence[Mapping[str, Any]]) -> _Column:
    values = [value_at(payload, key) for payload in payloads]
    are_numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    return _Column(name, list(map(describe_value, values)), is_text=not are_numbers)


def print_json_lines(points: Points, chosen: models.WithPayloadInterface, reasons: Sequence[ResultReason] = ()) -> None:
    """Print points as JSON, one object a line: rank, id, score, chosen payload, notes and explanation."""
    for rank, point in enumerate(points, 1):
        record = {"rank": rank, "id": point.id, "score": point.score, "payload": select_payload(point.payload, chosen)}
        if notes := notes_of(point):
            record["notes"] = dict(notes)
        if reasons:
            record["explanation"] = reasons[rank - 1].as_dict()
        _print_json(record)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


# Why they are where they are


_LONGEST_HEADING: Final = 18
_WITHOUT_TERMS: Final = (
    "The scores of MMR have no terms: each result is chosen by its similarity to the query, less its similarity to those "
    "chosen before it."
)


def print_reasons(explained: Explained) -> None:
    """Print where each candidate found each result, and what each term adds to its score."""
    if not explained.points:
        return
    console, reasons = results_console(), explained.reasons
    terms = _shorten(term_columns(reasons), lambda values: max((abs(value) for value in values if value == value), default=0.0))
    headings, legend = _headings([text for text, _ in terms])
    found = [
        _Column(f"found by\n{candidate.candidate}", [_hit(reason.candidates[number]) for reason in reasons])
        for number, candidate in enumerate(reasons[0].candidates)
    ]
    columns = [*found, *_term_columns(reasons, headings, [values for _, values in terms])]
    first = _Column("#", [str(reason.rank) for reason in reasons], "dim")
    named = _Column("id", list(map(id_of, explained.points)), "dim", is_text=True)
    for band in _bands(columns, console.width - first.width - named.width - 2 * _GAP):
        console.print()
        console.print(_make_table([(first, {}), (named, {"max_width": _WIDEST}), *((column, {}) for column in band)]))
    for text, letters in legend.items():
        console.print(Text.assemble((f"{', '.join(letters)} ", "bold"), text))
    if explained.steering is not None:
        _print_steering(explained.steering, {point.id: id_of(point) for point in [*explained.first, *explained.points]})
    if not terms:
        why_not = reasons[0].without_terms
        said = _WITHOUT_TERMS if "MMR" in why_not else f"The scores have no terms: {why_not}."
    elif reasons[0].link == "sigmoid":
        said = "A score is the sigmoid of its sum: 1 / (1 + exp(-sum))."
    else:
        said = "The terms of a result add up to its score."
    console.print(Text(said, "dim"))


def _hit(hit: CandidateHit) -> str:
    place = "" if hit.rank is None else f"#{hit.rank} "  # None where only the score is known
    return "–" if hit.score is None else f"{place}{hit.score:.4g}"


def _term_columns(
    reasons: Sequence[ResultReason], headings: Sequence[str], values: Sequence[Sequence[float]]
) -> Iterator[_Column]:
    """What each term adds to each result, the sum if that isn't the score, and the score."""
    for heading, added in zip(headings, values, strict=True):
        yield _Column(f"adds\n{heading}", ["–" if math.isnan(value) else f"{value:+.4g}" for value in added], "cyan")
    if headings and reasons[0].link != "identity":
        yield _Column("\nsum", [f"{reason.total:.4g}" for reason in reasons])
    yield _Column("\nscore", [f"{reason.score:.4g}" for reason in reasons], "bold")


def _headings(texts: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A heading for each term: its text, or a letter (a … z, a1, …); and the long texts with their letters."""
    legend: dict[str, list[str]] = {}
    headings: list[str] = []
    for text in texts:
        heading = text
        if cell_len(text) > _LONGEST_HEADING:
            turn, letter = divmod(sum(map(len, legend.values())), 26)
            heading = f"[{ascii_lowercase[letter]}{turn or ''}]"
            legend.setdefault(text, []).append(heading)
        headings.append(heading)
    return headings, legend


def _bands(columns: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """The columns, in tables of this width."""
    band: list[_Column] = []
    for column in columns:
        if band and sum(each.longest + _GAP for each in [*band, column]) > width + _GAP:
            yield band
            band = []
        band.append(column)
    yield band


_MOST: Final = 6
"""How many terms are shown one by one, unless only one more is left."""


def _shorten(columns: Sequence[tuple[str, list[float]]], size: Callable[[list[float]], float]) -> list[tuple[str, list[float]]]:
    """Terms with their values, in their order; of many the largest, and the sum of the others."""
    by_size = sorted(range(len(columns)), key=lambda number: -size(columns[number][1]))
    chosen = sorted(by_size if len(columns) <= _MOST + 1 else by_size[:_MOST])
    found = [(brief_term(text), values) for text, values in (columns[number] for number in chosen)]
    rest = [columns[number][1] for number in range(len(columns)) if number not in chosen]
    if rest:
        found.append((f"… {len(rest)} other terms", [sum(row) for row in zip(*rest, strict=True)]))
    return found


# What puts one result above another


@dataclass(frozen=True)
class ResultComparison:
    """Two results, and each term with its value in both, largest difference first."""

    names: tuple[str, str]
    reasons: tuple[ResultReason, ResultReason]
    terms: tuple[tuple[str, float, float], ...]

    @property
    def lead(self) -> float:
        """By how much the first one's sum exceeds the second one's."""
        return self.reasons[0].total - self.reasons[1].total

    def as_dict(self) -> dict[str, Any]:
        first, second = self.reasons
        terms = [{"term": text, "adds": [ours, theirs], "difference": ours - theirs} for text, ours, theirs in self.terms]
        return {"ids": [first.id, second.id], "lead": self.lead, "link": first.link, "terms": terms}


def compare_results(explained: Explained, ids: tuple[str, str]) -> ResultComparison:
    """Compare the two results that `--compare` names."""
    first, second = (_reason(explained, each) for each in ids)
    if first.id == second.id:
        raise CommandError(f"--compare compares two results, and {ids[0]!r} and {ids[1]!r} are the same one")
    if not first.terms:
        raise CommandError(f"--compare has nothing to compare. {_WITHOUT_TERMS}")
    pairs = zip(first.terms, second.terms, strict=True)
    terms = sorted(((ours.text, ours.value, theirs.value) for ours, theirs in pairs), key=lambda row: -abs(row[1] - row[2]))
    return ResultComparison(ids, (first, second), tuple(terms))


def _reason(explained: Explained, wanted: str) -> ResultReason:
    names: dict[str, list[models.ExtendedPointId]] = {}
    for point in explained.points:
        names.setdefault(id_of(point), []).append(point.id)
    called = names.get(wanted, [])
    found = [each for each in explained.reasons if wanted == str(each.id) or called == [each.id]]
    if not found and len(wanted.rstrip("…")) >= _SHORT:  # as the table shows it
        found = [each for each in explained.reasons if str(each.id).startswith(wanted.rstrip("…"))]
    if len(found) == 1:
        return found[0]
    if called:
        raise CommandError(f"--compare {wanted}: several results are called that; use their ids: {', '.join(map(str, called))}")
    raise CommandError(f"--compare {wanted}: not among the results, which are {', '.join(names) or 'none'}; -k asks for more")


def print_comparison(comparison: ResultComparison, as_json: bool = False) -> None:
    """Print what puts one result above another; as JSON, one more line."""
    if as_json:
        _print_json({"comparison": comparison.as_dict()})
        return
    console, (better, worse) = results_console(), comparison.reasons
    first, second = (f"{name} (#{each.rank})" for name, each in zip(comparison.names, comparison.reasons, strict=True))
    of = " in the sum" if better.link != "identity" else ""
    place = "above" if better.rank < worse.rank else "below"
    console.print()
    console.print(Text.assemble((first, "bold"), f" is {place} ", (second, "bold"), f" by {abs(comparison.lead):.4g}{of}:"))
    table = make_table("term", "difference", *(_clip(name, _WIDEST) for name in comparison.names))
    terms = [(text, [ours, theirs]) for text, ours, theirs in comparison.terms]
    for text, (ours, theirs) in _shorten(terms, lambda pair: abs(pair[0] - pair[1])):
        style = "green" if ours > theirs else "red" if ours < theirs else "dim"
        table.add_row(Text(text), Text(f"{ours - theirs:+.4g}", style), f"{ours:.4g}", f"{theirs:.4g}")
    show_table(console, table)


# How relevance feedback steered the search


_PAIRS_SHOWN: Final = 3
_LONGEST_TEXT: Final = 60
_SHORTEST_TEXT: Final = 8


def _print_steering(steering: Steering, names: Mapping[Any, str]) -> None:
    """Print the seeds' scores, the pairs that count most, and how far the query's vector was shifted.

    `names` are those of points in the table of results, by id; others are called by their id.
    """
    console = results_console()
    if steering.to_score:
        console.print()
        console.print(_seeds(steering, names, console))
    if steering.why_not:
        console.print(Text(f"The second search wasn't steered: {steering.why_not}.", "dim"))
        return
    used = [_name(seed, names) for seed in steering.used]
    for pair in steering.pairs[:_PAIRS_SHOWN]:
        apart = f"scores {pair.confidence:.3g} apart, weighs {pair.weight:.3g}"
        console.print(Text(f"towards {used[pair.better]}, away from {used[pair.worse]}: {apart}"))
    if (left := len(steering.pairs) - _PAIRS_SHOWN) > 0:
        console.print(Text(f"and {left} more pair{'' if left == 1 else 's'}", "dim"))
    if steering.cosine is not None:
        console.print(
            Text(f"The shifted vector has a cosine of {steering.cosine:.3f} with the query's (1: not shifted).", "dim")
        )


def _seeds(steering: Steering, names: Mapping[Any, str], console: Console) -> Table:
    """The seeds as a table that cuts texts and very long names alone, however narrow the terminal is."""
    columns = [
        _Column("first\nsearch", [f"#{seed.rank}" for seed in steering.seeds]),
        _Column("seed", [_name(seed, names) for seed in steering.seeds], is_text=True),
        _Column("feedback\nscore", ["not scored" if seed.score is None else f"{seed.score:.4g}" for seed in steering.seeds]),
    ]
    text = _Column("text", [_one_line(seed.text) for seed in steering.seeds], is_text=True)
    left = console.width - sum(column.width + _GAP for column in columns)
    most = max(_SHORTEST_TEXT, min(left, _LONGEST_TEXT))
    return _make_table([*((column, {"width": column.width}) for column in columns), (text, {"max_width": most})])


def _name(seed: Seed, names: Mapping[Any, str]) -> str:
    return names.get(seed.id, str(seed.id))

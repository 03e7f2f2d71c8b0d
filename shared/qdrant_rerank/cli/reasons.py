"""Why results are where they are, as tables and as JSON: what `search --explain` and `search --why` print."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qdrant_client import models
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from .._internals import CandidateHit, Explained, Points, ResultReason, brief_term, term_columns
from ..feedback._internals import Seed, Steering
from .consoles import make_table, results_console
from .failures import CommandError
from .results import id_of

__all__ = ["compare_results", "print_comparison", "print_comparison_line", "print_reasons"]

_LONGEST_ID: Final = 20
_LONGEST_HEADING: Final = 18
_GAP: Final = 2
_WITHOUT_TERMS: Final = (
    "The scores of MMR have no terms: each result is chosen by its similarity to the query, less its similarity to those "
    "chosen before it."
)


def print_reasons(explained: Explained) -> None:
    """Print where each candidate found each result and what each term adds to its score, in several tables if need be."""
    if not explained.points:
        return
    console = results_console()
    terms = _shorten_terms(explained.reasons)
    headings, legend = _headings([text for text, _ in terms])
    columns = [
        *_candidate_columns(explained.reasons),
        *_term_columns(explained.reasons, headings, [values for _, values in terms]),
    ]
    first = _Column("#", [str(reason.rank) for reason in explained.reasons], "dim")
    named = _Column("id", list(map(id_of, explained.points)), "dim", is_text=True)
    for band in _bands(columns, console.width - first.width - named.width - 2 * _GAP):
        console.print()
        console.print(_table([first, named, *band]))
    for text, letters in legend.items():
        console.print(Text.assemble((f"{', '.join(letters)} ", "bold"), text))
    if explained.steering is not None:
        _print_steering(explained.steering, {point.id: id_of(point) for point in [*explained.first, *explained.points]})
    if not terms:
        why_not = explained.reasons[0].without_terms
        console.print(Text(_WITHOUT_TERMS if "MMR" in why_not else f"The scores have no terms: {why_not}.", "dim"))
    elif explained.reasons[0].link == "sigmoid":
        console.print(Text("A score is the sigmoid of its sum: 1 / (1 + exp(-sum)).", "dim"))
    else:
        console.print(Text("The terms of a result add up to its score.", "dim"))


@dataclass(frozen=True)
class _Column:
    """A heading, of one line or two, and its cells."""

    heading: str
    cells: Sequence[str]
    style: str = ""
    is_text: bool = False

    @property
    def width(self) -> int:
        longest = max(map(cell_len, [*self.heading.splitlines(), *self.cells]))
        return min(longest, _LONGEST_ID) if self.is_text else longest


def _candidate_columns(reasons: Sequence[ResultReason]) -> Iterator[_Column]:
    """Rank and score of each result in each candidate."""
    for number, candidate in enumerate(reasons[0].candidates):
        yield _Column(f"found by\n{candidate.candidate}", [_hit(reason.candidates[number]) for reason in reasons])


def _term_columns(
    reasons: Sequence[ResultReason], headings: Sequence[str], values: Sequence[Sequence[float]]
) -> Iterator[_Column]:
    """What each term adds to each result, then the sum if that isn't the score, then the score."""
    for heading, added in zip(headings, values, strict=True):
        yield _Column(f"adds\n{heading}", ["–" if math.isnan(value) else f"{value:+.4g}" for value in added], "cyan")
    if headings and reasons[0].link != "identity":
        yield _Column("\nsum", [f"{reason.total:.4g}" for reason in reasons])
    yield _Column("\nscore", [f"{reason.score:.4g}" for reason in reasons], "bold")


def _hit(hit: CandidateHit) -> str:
    place = "" if hit.rank is None else f"#{hit.rank} "  # None where only the score is known
    return "–" if hit.score is None else f"{place}{hit.score:.4g}"


def _headings(texts: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A heading for each term, and the long texts with the letters that are headings in their place."""
    legend: dict[str, list[str]] = {}
    headings: list[str] = []
    for text in texts:
        if cell_len(text) <= _LONGEST_HEADING:
            headings.append(text)
            continue
        headings.append(f"[{_letter(sum(map(len, legend.values())))}]")
        legend.setdefault(text, []).append(headings[-1])
    return headings, legend


def _letter(number: int) -> str:
    """a, b, …, z, a1, b1, …"""
    return chr(ord("a") + number % 26) + (str(number // 26) if number >= 26 else "")


def _bands(columns: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """The columns in as many tables as the width asks for."""
    band: list[_Column] = []
    for column in columns:
        if band and sum(each.width + _GAP for each in [*band, column]) > width + _GAP:
            yield band
            band = []
        band.append(column)
    yield band


def _table(columns: Sequence[_Column]) -> Table:
    table = make_table()
    for column in columns:
        table.add_column(
            Text(column.heading),
            style=column.style,
            justify="left" if column.is_text else "right",
            vertical="bottom",
            no_wrap=True,
            max_width=_LONGEST_ID if column.is_text else None,
            overflow="ellipsis",
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table


@dataclass(frozen=True)
class ResultComparison:
    """Two results, and what puts the one above the other: each term with its value in both, largest difference first."""

    names: tuple[str, str]
    reasons: tuple[ResultReason, ResultReason]
    terms: tuple[tuple[str, float, float], ...]

    @property
    def lead(self) -> float:
        """By how much the first one's sum exceeds the second one's."""
        return self.reasons[0].total - self.reasons[1].total

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        first, second = self.reasons
        terms = [{"term": text, "adds": [ours, theirs], "difference": ours - theirs} for text, ours, theirs in self.terms]
        return {"ids": [first.id, second.id], "lead": self.lead, "link": first.link, "terms": terms}


def compare_results(explained: Explained, ids: tuple[str, str]) -> ResultComparison:
    """Compare the two results that `--why` names.

    Raises:
        CommandError: there is no such result, both are the same, or the strategy's scores have no terms.
    """
    first, second = (_reason(explained, each) for each in ids)
    if first.id == second.id:
        raise CommandError(f"--why compares two results, and {ids[0]!r} and {ids[1]!r} are the same one")
    if not first.terms:
        raise CommandError(f"--why has nothing to compare. {_WITHOUT_TERMS}")
    pairs = zip(first.terms, second.terms, strict=True)
    terms = sorted(((ours.text, ours.value, theirs.value) for ours, theirs in pairs), key=lambda row: -abs(row[1] - row[2]))
    return ResultComparison(ids, (first, second), tuple(terms))


def _reason(explained: Explained, wanted: str) -> ResultReason:
    names = _names(explained.points)
    found = [
        reason for reason in explained.reasons if wanted == str(reason.id) or (wanted in names and names[wanted] == [reason.id])
    ]
    if len(found) == 1:
        return found[0]
    if wanted in names:
        raise CommandError(
            f"--why {wanted}: several results are called that; use their ids: {', '.join(map(str, names[wanted]))}"
        )
    there = ", ".join(names) or "none"
    raise CommandError(f"--why {wanted}: not among the results, which are {there}; -k asks for more")


def _names(points: Points) -> Mapping[str, list[models.ExtendedPointId]]:
    """The ids of the points that are called so."""
    names: dict[str, list[models.ExtendedPointId]] = {}
    for point in points:
        names.setdefault(id_of(point), []).append(point.id)
    return names


def print_comparison(comparison: ResultComparison) -> None:
    """Print what puts one result above another."""
    console = results_console()
    first, second = (f"{name} (#{each.rank})" for name, each in zip(comparison.names, comparison.reasons, strict=True))
    of = " in the sum" if comparison.reasons[0].link != "identity" else ""
    place = "above" if comparison.reasons[0].rank < comparison.reasons[1].rank else "below"
    console.print()
    console.print(Text.assemble((first, "bold"), f" is {place} ", (second, "bold"), f" by {abs(comparison.lead):.4g}{of}:"))
    _print_differences(console, comparison)


def _print_differences(console: Console, comparison: ResultComparison) -> None:
    table = make_table()
    table.add_column("difference", justify="right")
    for name in comparison.names:
        table.add_column(Text(name), justify="right", style="dim", no_wrap=True, max_width=_LONGEST_ID, overflow="ellipsis")
    table.add_column("term", overflow="fold")
    for text, (ours, theirs) in _shorten_differences(comparison.terms):
        style = "green" if ours > theirs else "red" if ours < theirs else "dim"
        table.add_row(Text(f"{ours - theirs:+.4g}", style), f"{ours:.4g}", f"{theirs:.4g}", Text(text))
    console.print(table)


def print_comparison_line(comparison: ResultComparison) -> None:
    """Print a comparison as one more line of JSON."""
    sys.stdout.write(json.dumps({"why": comparison.as_dict()}, ensure_ascii=False) + "\n")


_MOST: Final = 6
"""How many terms are shown one by one, unless only one more is left."""


def _shorten_terms(reasons: Sequence[ResultReason]) -> list[tuple[str, list[float]]]:
    """The terms of results as texts with a value for each result, in their order; NaN where a result lacks the term.

    Of many, only those that add or subtract most for any result, and the sum of the others last.
    """
    columns = term_columns(reasons)
    largest = [max((abs(value) for value in values if not math.isnan(value)), default=0.0) for _, values in columns]
    return _shorten(columns, sorted(range(len(columns)), key=lambda number: -largest[number]))


def _shorten_differences(terms: Sequence[tuple[str, float, float]]) -> list[tuple[str, list[float]]]:
    """Terms with their values in two results, largest difference first; of many the first ones, and the sum of the others."""
    return _shorten([(text, [ours, theirs]) for text, ours, theirs in terms], range(len(terms)))


def _shorten(columns: Sequence[tuple[str, list[float]]], by_size: Sequence[int]) -> list[tuple[str, list[float]]]:
    chosen = sorted(by_size if len(columns) <= _MOST + 1 else by_size[:_MOST])
    found = [(brief_term(text), values) for text, values in (columns[number] for number in chosen)]
    rest = [columns[number][1] for number in range(len(columns)) if number not in chosen]
    if rest:
        found.append((f"… {len(rest)} other terms", [sum(row) for row in zip(*rest, strict=True)]))
    return found


_PAIRS_SHOWN: Final = 3
_LONGEST_TEXT: Final = 60
_LONGEST_NAME: Final = 20
_SHORTEST_TEXT: Final = 8
_HEADINGS: Final = ("first\nsearch", "seed", "feedback\nscore")


def _print_steering(steering: Steering, names: Mapping[Any, str]) -> None:
    """Print what the model gave the seeds, which pairs count most, and how far the query's vector was shifted.

    Args:
        steering: of one query.
        names: what points are called in the table of results, by id; others by their id.
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
    """The seeds as a table in which only texts and very long names are cut, however narrow the terminal is."""
    rows = [(f"#{seed.rank}", _name(seed, names), _given(seed)) for seed in steering.seeds]
    table = make_table()
    left = console.width
    for number, heading in enumerate(_HEADINGS):
        widest = max(map(cell_len, [*heading.splitlines(), *(row[number] for row in rows)]))
        width = min(widest, _LONGEST_NAME)
        left -= width + 2
        justify: JustifyMethod = "left" if heading == "seed" else "right"
        table.add_column(heading, justify=justify, width=width, no_wrap=True, overflow="ellipsis", vertical="bottom")
    text = max(_SHORTEST_TEXT, min(left, _LONGEST_TEXT))
    table.add_column("text", no_wrap=True, overflow="ellipsis", max_width=text, vertical="bottom")
    for seed, row in zip(steering.seeds, rows, strict=True):
        table.add_row(*map(Text, row), Text(" ".join(seed.text.split())))
    return table


def _name(seed: Seed, names: Mapping[Any, str]) -> str:
    return names.get(seed.id, str(seed.id))


def _given(seed: Seed) -> str:
    return "not scored" if seed.score is None else f"{seed.score:.4g}"

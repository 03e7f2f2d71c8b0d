"""Click logs as judgments, with the bias of the position noted and, roughly, undone.

Clicks are not judgments. People click what is at the top because it is at the top, and never what they weren't shown. The
correction assumes that people look at a result at position p with probability p**-eta, the same for everybody and everything
(Joachims, Swaminathan and Schnabel, "Unbiased Learning-to-Rank with Biased Feedback", WSDM 2017). Where no experiment (results
shown in swapped order) tells `eta`, results are a guess: test them online.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final

from .. import StrategyError
from .._internals import brief, is_finite
from ..errors import FormatError
from ..evaluate import Qrels, Topic, Topics
from ..evaluate._internals import rows_of, value_text

_COLUMNS: Final = ("query", "doc_id", "position", "clicked")
_DIGITS: Final = 15
_TRUE, _FALSE = ("1", "true", "True"), ("0", "false", "False")


@dataclass(frozen=True)
class Clicks:
    """What a click log says.

    Attributes:
        topics: each query once; its id is its text.
        qrels: a grade for each shown result: 0 never clicked, 1 clicked, 2 and more where its corrected share of clicks
            reaches the bounds.
        weights: topic → document → inverse propensity of clicked results, 1 for others; for `log_features(pair_weights=…)`.
        rows: how many lines there were.
    """

    topics: Topics
    qrels: Qrels
    weights: Mapping[str, Mapping[str, float]]
    rows: int


def read_clicks(
    path: str | PathLike[str], *, eta: float = 1.0, bounds: Sequence[float] = (0.3, 0.6), largest_weight: float = 10.0
) -> Clicks:
    """Read a click log: JSON lines, CSV or TSV with the columns query, doc_id, position (from 1) and clicked (0 or 1).

    Args:
        path: the file.
        eta: how steeply attention falls with the position, as p**-eta; 0 undoes nothing.
        bounds: shares of clicks among the times that people looked at a result, from which its grade is 2, 3, …
        largest_weight: where inverse propensities are cut, as a few clicks far down would count for too much.

    Raises:
        FormatError: a line is malformed; or there are none.
        StrategyError: an argument is wrong.
    """
    if not is_finite(eta) or eta < 0 or not is_finite(largest_weight) or largest_weight < 1 or list(bounds) != sorted(bounds):
        raise StrategyError(
            f"eta is at least 0, largest_weight at least 1 and bounds rise, got {eta!r}, {largest_weight!r}, {bounds!r}"
        )
    seen: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    count = 0
    for number, row in rows_of(path):
        count += 1
        query, document = value_text(row, "query", path, number), value_text(row, "doc_id", path, number)
        looked = _position(row, path, number) ** -eta
        seen.setdefault((query, document), []).append((looked, _clicked(row, path, number)))
    if not seen:
        raise FormatError(f"there are no clicks: the file needs lines with {', '.join(_COLUMNS)}", path)
    grades: dict[str, dict[str, int]] = {}
    weights: dict[str, dict[str, float]] = {}
    for (query, document), shown in seen.items():
        grades.setdefault(query, {})[document] = _grade(shown, bounds)
        inverse = [1 / looked for looked, clicked in shown if clicked]
        weights.setdefault(query, {})[document] = min(largest_weight, sum(inverse) / len(inverse)) if inverse else 1.0
    return Clicks(Topics([Topic(query, query) for query in grades]), Qrels(grades), weights, count)


def _grade(shown: Sequence[tuple[float, bool]], bounds: Sequence[float]) -> int:
    clicks = sum(clicked for _, clicked in shown)
    share = clicks / sum(looked for looked, _ in shown)
    return (1 + sum(share >= bound for bound in bounds)) if clicks else 0


def _position(row: Mapping[str, Any], path: str | PathLike[str], number: int) -> int:
    text = value_text(row, "position", path, number)
    if not text.isdecimal() or len(text) > _DIGITS or int(text) < 1:
        raise FormatError(f"a position is a whole number from 1, got {brief(text)}", path, number)
    return int(text)


def _clicked(row: Mapping[str, Any], path: str | PathLike[str], number: int) -> bool:
    value = str(row.get("clicked"))
    if value not in (*_TRUE, *_FALSE):
        raise FormatError(f"clicked is 0 or 1, got {row.get('clicked')!r}", path, number)
    return value in _TRUE

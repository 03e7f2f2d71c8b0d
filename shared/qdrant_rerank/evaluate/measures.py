"""Measures: how good a ranking is, by ir-measures, for each topic.

Runs are measured in the order of their rankings (`Run.positions`), so ties in scores can't be broken another way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import MissingExtra, StrategyError, did_you_mean
from .qrels import Qrels
from .runs import Run

__all__ = ["DEFAULT_MEASURES", "deepest", "measured", "parsed", "per_topic"]

DEFAULT_MEASURES = ("nDCG@10", "R@100", "RR")
"""What `evaluate` measures by unless it is told."""
_SELDOM = ("nERR", "alpha_DCG", "alpha_nDCG", "StRecall")  # need subtopics, which qrels here don't have


def measured(measures: Iterable[str], qrels: Qrels, run: Run, topics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Measure → topic → value, for these topics.

    A topic that the run doesn't have, or has no results for, gets 0. Topics without judgments must be left out before.

    Args:
        measures: ir-measures' names, e.g. `nDCG@10`, `P(rel=2)@5`, `Judged@10`.
        qrels: the judgments.
        run: what a system found.
        topics: the ids of the topics to measure.

    Raises:
        StrategyError: a measure isn't known.
        MissingExtra: ir-measures isn't installed.
    """
    grades = {topic: qrels[topic] for topic in topics}
    return per_topic(measures, grades, run.positions())


def per_topic(
    measures: Iterable[str], grades: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Measure → topic → value for plain data; a topic of `grades` without a ranking gets 0.

    Args:
        measures: ir-measures' names.
        grades: topic → document → grade.
        rankings: topic → document → a number, larger is better, none twice in a topic.
    """
    wanted = parsed(measures)
    library = _library()
    judged: dict[str, dict[str, int]] = {topic: dict(found) for topic, found in grades.items()}
    ranked = {topic: dict(ranking) for topic, ranking in rankings.items() if topic in judged and ranking}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(judged, 0.0) for name in wanted}
    names = {measure: name for name, measure in wanted.items()}
    if ranked:  # some providers of ir-measures fail on an empty run
        for found in library.iter_calc(list(wanted.values()), judged, ranked):
            # a measure without a value, e.g. Judged@10 of an empty list, is nothing to average
            values[names[found.measure]][found.query_id] = 0.0 if math.isnan(found.value) else float(found.value)
    return values


def parsed(measures: Iterable[str]) -> dict[str, Any]:
    """The measures as ir-measures' values, by the names that ir-measures gives them.

    Raises:
        StrategyError: one isn't known, can't be read, or has no provider installed; or there are none.
        MissingExtra: ir-measures isn't installed.
    """
    library = _library()
    listed = [measures] if isinstance(measures, str) else list(measures)
    if not listed:
        raise StrategyError("measures= is empty: name at least one, e.g. 'nDCG@10'")
    found = [_parse(library, text) for text in listed]
    return {str(measure): measure for measure in found}


def deepest(measures: Iterable[str]) -> int:
    """How many results the measures look at: the largest cutoff, at least 10; 100 where one has no cutoff."""
    cutoffs = [measure.params.get("cutoff") for measure in parsed(measures).values()]
    return max([10, *(cutoff if isinstance(cutoff, int) else 100 for cutoff in cutoffs)])


def _parse(library: Any, text: Any) -> Any:
    text = str(text)  # which for ir-measures' own values is what it parses
    try:
        measure = library.parse_measure(text)
        library.evaluator([measure], {"1": {"a": 1}})
    except NameError as error:
        known = sorted(name for name in library.measures.registry if name not in _SELDOM)
        name = text.partition("(")[0].partition("@")[0]
        hint = did_you_mean(name, known)
        raise StrategyError(f"there is no measure {text!r}{hint} (there are {', '.join(known)}; e.g. nDCG@10)") from error
    except (ValueError, AssertionError, TypeError, SyntaxError, KeyError) as error:
        reason = "it needs a cutoff, as in P@10" if "cutoff=<object" in str(error) else str(error)
        raise StrategyError(f"the measure {text!r} can't be used: {reason or 'write it like nDCG@10 or P(rel=2)@5'}") from error
    return measure


def _library() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtra("evaluate", "learn") from error
    return ir_measures

"""Measures of each topic by ir-measures, intervals by the bootstrap, and tests of differences."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from .. import StrategyError
from .._internals import did_you_mean, is_finite, is_whole, load_extra
from .data import Plain

DEFAULT_MEASURES = ("nDCG@10", "R@100", "RR")
"""What `evaluate` measures by default."""
SAME: Final = 1e-12
"""Differences this small are arithmetic, not results."""
_MOST_OF_GDEVAL: Final = 4
_MOST: Final = 1_000_000  # trec_eval counts the grades in a table, and overflows at 2**31
_SELDOM = ("nERR", "alpha_DCG", "alpha_nDCG", "StRecall")  # need subtopics, which qrels here don't have


def per_topic(
    measures: Iterable[str], grades: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Measure → topic → value; a topic without a ranking gets 0.

    The programs behind ir-measures split lines at spaces, take ids for numbers, or see minus signs in them. So topics are
    `1`, `2`, … to them, documents `d1`, `d2`, …, and scores whole numbers above 0 that fall with rank.

    Args:
        measures: ir-measures' names, e.g. `nDCG@10`, `P(rel=2)@5`, `Judged@10`.
        grades: topic → document → grade, of topics that have judgments.
        rankings: topic → document → a number, larger is better, none twice in a topic.

    Raises:
        StrategyError: a measure isn't known, can't take the judgments, or is undefined for these rankings.
        MissingExtra: ir-measures isn't installed.
    """
    check_judgments(measures, grades)
    topics: dict[str, str] = {}
    judged: dict[str, dict[str, int]] = {}
    ranked: dict[str, dict[str, float]] = {}
    for number, (topic, found) in enumerate(grades.items(), 1):
        name, ranking = str(number), rankings.get(topic) or {}
        order = sorted(ranking, key=lambda document: -ranking[document])
        names = {document: f"d{place}" for place, document in enumerate(dict.fromkeys([*order, *found]), 1)}
        topics[name] = topic
        judged[name] = {names[document]: grade for document, grade in found.items()}
        if order:
            ranked[name] = {names[document]: float(len(order) - place) for place, document in enumerate(order)}
    values: dict[str, dict[str, float]] = {}
    for name, measure in parse_measures(measures).items():
        values[name] = dict.fromkeys(grades, 0.0)
        try:
            calculated = _library().iter_calc([measure], judged, ranked) if ranked else ()  # some fail on an empty run
            for each in calculated:
                # a measure without a value, e.g. Judged@10 of an empty list, is nothing to average
                values[name][topics[each.query_id]] = 0.0 if math.isnan(each.value) else float(each.value)
        except Exception as error:  # of whatever library or program computes it
            raise StrategyError(
                f"the measure {name} has no value for these rankings and judgments ({type(error).__name__}: {error})"
            ) from error
    return values


def check_judgments(measures: Iterable[str], grades: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse judgments that a measure can't take or is undefined on.

    Raises StrategyError: names the measure, the topic and the document.
    """
    for name, measure in parse_measures(measures).items():
        most = _MOST_OF_GDEVAL if _is_gdeval_s(measure) else _MOST
        for topic, found in grades.items():
            worst = max(found, key=found.__getitem__, default=None)
            if worst is not None and found[worst] > most:
                raise StrategyError(
                    f"{name} takes grades up to {most:,}, and document {worst!r} has {found[worst]:,} for topic {topic!r}"
                    + ("; nDCG@10 takes larger ones" if most == _MOST_OF_GDEVAL else "")
                )
            if measure.NAME == "Accuracy" and found and min(found.values()) >= measure["rel"]:
                raise StrategyError(
                    f"Accuracy compares relevant documents with others, and all that are judged for topic {topic!r} are "
                    "relevant: it is undefined there"
                )


def _is_gdeval_s(measure: Any) -> bool:
    """Whether gdeval computes it, TREC's program for grades from 0 to 4."""
    return bool(measure.NAME == "ERR" or (measure.NAME == "nDCG" and measure["dcg"] == "exp-log2"))


def parse_measures(measures: Iterable[str]) -> dict[str, Any]:
    """The measures as ir-measures' values, by the names that ir-measures gives them.

    Raises StrategyError: one isn't known, can't be read, or has no provider installed; or there are none. Raises MissingExtra:
    ir-measures isn't installed.
    """
    library = _library()
    listed = [measures] if isinstance(measures, str) else list(measures)
    if not listed:
        raise StrategyError("measures= is empty: name at least one, e.g. 'nDCG@10'")
    found = [_parse(library, text) for text in listed]
    return {str(measure): measure for measure in found}


def deepest(measures: Iterable[str]) -> int:
    """How many results the measures look at: the largest cutoff, at least 10; 100 where one has no cutoff."""
    cutoffs = [measure.params.get("cutoff") for measure in parse_measures(measures).values()]
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
    for name, value in measure.params.items():
        if expected := _misfit(name, value):
            raise StrategyError(f"the measure {text!r} can't be used: its {name} must be {expected}, got {value!r}")
    return measure


def _misfit(name: str, value: Any) -> str | None:
    """What a measure's parameter must be and isn't; on some values the programs behind ir-measures end the process."""

    def whole(number: Any, least: int = 1) -> bool:
        return is_whole(number, least) and number <= _MOST

    match name:
        case "cutoff":
            fits, expected = whole(value), f"a whole number from 1 to {_MOST:,}"
        case "rel":
            fits, expected = whole(value), f"a grade from 1 to {_MOST:,}"
        case "recall":
            fits, expected = is_finite(value) and 0 <= value <= 1, "a number from 0 to 1"
        case "p":
            fits, expected = is_finite(value) and 0 < value < 1, "a number between 0 and 1"
        case "beta":
            fits, expected = is_finite(value) and value > 0, "a number above 0"
        case "gains":
            fits = isinstance(value, dict) and all(whole(item, -_MOST) for pair in value.items() for item in pair)
            expected = "whole numbers by grade, e.g. {1: 1, 2: 5}"
        case _:
            return None
    return None if fits else expected


def _library() -> Any:
    return load_extra("ir_measures", "evaluate", "learn")


@dataclass(frozen=True)
class Interval(Plain):
    """An estimate with a bootstrap interval over the topics.

    Attributes:
        estimate: the mean.
        low, high: the interval's ends; None of a single topic.
        level: how often such intervals hold the true mean, e.g. 0.95.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float = 0.95

    def ends(self, sign: str = "") -> str:
        """Both ends, e.g. "0.4100 to 0.5200", with their signs if `sign` is "+"; "" where there are none."""
        return "" if self.low is None or self.high is None else f"{self.low:{sign}.4f} to {self.high:{sign}.4f}"

    def as_gain(self, measure: str) -> str:
        """A difference in words, e.g. "+0.0200 nDCG@10 (95% interval -0.0100 to +0.0500)"."""
        within = "" if self.low == self.high else f" ({self.level:.0%} interval {self.ends('+')})"  # None, or all are the same
        return f"{self.estimate:+.4f} {measure}{within}"

    @property
    def is_positive(self) -> bool:
        """Whether all of the interval is above 0."""
        return self.low is not None and self.low > 0

    def __str__(self) -> str:
        return f"{self.estimate:.4f} ({self.ends()})" if self.ends() else f"{self.estimate:.4f}"


Method: TypeAlias = Literal["BCa", "percentile"]
_AT_ONCE = 4_000_000  # numbers that resampling holds in memory at a time


def bootstrap_interval(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 2000, method: Method = "BCa", seed: int = 0
) -> Interval:
    """The mean of `values` with its bootstrap interval; topics are drawn with replacement.

    Bias-corrected and accelerated (Efron, "Better bootstrap confidence intervals", JASA 82, 1987), by
    `scipy.stats.bootstrap`. Where that is undefined, percentiles; where all values are equal, that value.

    Args:
        values: one number for each topic (for a paired interval, the differences).
        level: coverage.
        resamples: how many samples are drawn.
        method: `BCa` or `percentile`.
        seed: the same seed gives the same interval.

    Raises:
        StrategyError: there are no values, or an argument is wrong.
        MissingExtra: scipy isn't installed.
    """
    data = np.asarray(values, dtype=float)
    if not data.size:
        raise StrategyError("there is nothing to average: no topic has a value")
    if method not in get_args(Method) or not 0 < level < 1 or resamples < 100:
        raise StrategyError(
            f"an interval takes method 'BCa' or 'percentile', a level between 0 and 1 and at least 100 resamples, "
            f"got {method!r}, {level!r}, {resamples!r}"
        )
    mean = float(data.mean())
    if data.size < 2:
        return Interval(mean, None, None, level)
    if np.ptp(data) == 0:
        return Interval(mean, mean, mean, level)
    low, high = _ends(data, level, resamples, method, seed)
    if not (np.isfinite(low) and np.isfinite(high)):  # BCa is undefined for some small samples
        low, high = _ends(data, level, resamples, "percentile", seed)
    return Interval(mean, low, high, level)


def _ends(data: np.ndarray, level: float, resamples: int, method: Method, seed: int) -> tuple[float, float]:
    stats = load_extra("scipy", "bootstrap intervals", "learn").stats
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # answered by percentiles
        found = stats.bootstrap(
            (data,),
            np.mean,
            confidence_level=level,
            n_resamples=resamples,
            method=method,
            batch=max(1, _AT_ONCE // data.size),
            rng=np.random.default_rng(seed),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


LEAST_TOPICS = 25
"""With fewer topics no claim is made: intervals and tests rest on samples of about this size or more."""


def randomisation_p(differences: Sequence[float], *, resamples: int = 9999, seed: int = 0) -> float:
    """The two-sided p value of the paired randomisation test: how often random signs give a mean as far from 0.

    Exact where 2^n sign patterns are no more than `resamples` (n topics that differ), else by random patterns.

    Args:
        differences: one for each topic.
        resamples: how many patterns of signs are tried.
        seed: the same seed gives the same value.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    data = np.asarray(differences, dtype=float)
    data = data[np.abs(data) > SAME]  # a sign changes nothing there, and the exact test can take more topics
    if data.size < 2:
        return 1.0
    stats = load_extra("scipy", "the randomisation test", "learn").stats
    found = stats.permutation_test(
        (data,),
        lambda x, axis: np.sum(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 2_000_000 // data.size),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def write_p(p: float) -> str:
    """A p value in words: `p = 0.042`, or `p < 0.001`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def holm(ps: Sequence[float]) -> list[float]:
    """The p values after Holm's step-down correction, in the order given."""
    order = sorted(range(len(ps)), key=lambda number: ps[number])
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[number]))
        adjusted[number] = largest
    return adjusted


def detectable_difference(
    differences: Sequence[float], *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> float | None:
    """The smallest true mean difference that this many topics would show as significant, with probability `power`.

    (z₁₋α⸝₂ + z_power) · s / √(n − z²₁₋α⸝₂ / 2), s the standard deviation of the differences: the sample size of the
    paired t-test, solved for the difference. With several comparisons, alpha is divided by their number.

    Returns:
        The difference; None with too few topics for the formula (fewer than 5).
    """
    z, total = _quantiles(alpha, power, comparisons)
    left = len(differences) - z * z / 2
    if len(differences) < 5 or left <= 0:
        return None
    return total * float(np.std(np.asarray(differences), ddof=1)) / math.sqrt(left)


def topics_needed(differences: Sequence[float], *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1) -> int | None:
    """How many topics would show a true mean difference as large as the one observed, with probability `power`.

    ((z₁₋α⸝₂ + z_power) · s / d)² + z²₁₋α⸝₂ / 2, d the observed mean; the same formula as `detectable_difference`.

    Returns:
        A number, at least `LEAST_TOPICS`; None if no difference was observed.
    """
    if len(differences) < 2:
        return None
    data = np.asarray(differences, dtype=float)
    mean = abs(float(data.mean()))
    if mean <= SAME:
        return None
    z, total = _quantiles(alpha, power, comparisons)
    return max(LEAST_TOPICS, math.ceil((total * float(data.std(ddof=1)) / mean) ** 2 + z * z / 2))


def _quantiles(alpha: float, power: float, comparisons: int) -> tuple[float, float]:
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha / max(comparisons, 1) / 2)
    return z, z + normal.inv_cdf(power)

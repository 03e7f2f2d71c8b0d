"""How far a collection's values are from those that a ranker was trained on, feature by feature, of candidates too.

Plans look at a sample of the collection by themselves (`trained.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from .. import Executor, PlanError, Retries, SearchOptions, StrategyError
from .._internals import (
    FAR,
    MOVED,
    NO_RETRIES,
    Reference,
    Table,
    brief,
    by_chance,
    check_counts,
    find_missing,
    in_batches,
    instead,
    kind_of,
    run,
    shift,
    together,
)
from ..evaluate import Topics
from ..evaluate._internals import MEASURING, Plain, RetryingServices
from .features import (
    CandidateSearch,
    Category,
    Feature,
    Known,
    compute_features,
    draw_points,
    is_payload_only,
    keys_read,
    search_candidates,
    selector,
    share_lacking,
)
from .ranker import LearnedRanker, RankerLike, load_ranker
from .solver import Array

Verdict: TypeAlias = Literal["stable", "moved", "far", "gone"]
_SAID: Final[Mapping[str, str]] = {
    "stable": "as in training",
    "moved": "has moved: look at it",
    "far": "is far from what was trained on: fit again",
    "gone": "no point has it: it counts as missing everywhere",
}


@dataclass(frozen=True)
class FeatureDrift(Plain):
    """How far one feature has moved.

    Attributes:
        name: the feature's.
        psi: the population stability index.
        missing: share of points that lack what it reads, now; text where it reads a number counts as missing.
        missing_then: the same in training.
        by_chance: the index that as many values of the same distribution exceed once in a hundred times.
        verdict: `stable` below 0.1, `moved` below 0.25, `far` from there on; `gone` if no point has what it reads.
        instead: what points have instead, where it is gone, e.g. `no point has a number at 'rating' but text, e.g. 'four'`.
    """

    name: str
    psi: float
    missing: float
    missing_then: float
    verdict: Verdict
    by_chance: float = 0.0
    instead: str = ""

    @property
    def said(self) -> str:
        """The verdict in words."""
        return f"{self.instead}: it counts as missing everywhere" if self.instead else _SAID[self.verdict]

    def __str__(self) -> str:
        lack = f", {self.missing:.0%} lack it ({self.missing_then:.0%} then)" if self.missing != self.missing_then else ""
        return f"{self.name!r} {self.said} (PSI {self.psi:.3f}{lack})"


@dataclass(frozen=True)
class Drift(Plain):
    """How far a ranker's features have moved.

    Attributes:
        features: one each, the farthest first.
        points: how many points, or candidates, were compared.
        compared: `stored points`, or `candidates` of topics.
        left_out: features that read scores or request-time values, which only candidates of topics have.
    """

    features: tuple[FeatureDrift, ...]
    points: int
    compared: str
    left_out: tuple[str, ...] = ()

    @property
    def is_stable(self) -> bool:
        """Whether every feature that could be compared is as in training."""
        return all(one.verdict == "stable" for one in self.features)

    def __str__(self) -> str:
        lines = [str(one) for one in self.features]
        if self.left_out:
            lines.append(f"not compared (give topics=): {', '.join(map(repr, self.left_out))}")
        return "\n".join([f"{self.points} {self.compared}", *lines])


def drift(
    executor: Executor,
    ranker: RankerLike,
    *,
    sample: int = 1000,
    topics: Topics | None = None,
    batch_size: int = 16,
    retries: int | Retries = MEASURING,
) -> Drift:
    """How far the features' values are from those in training.

    Stored points are compared with the stored points that were sampled when the log was made; with `topics`, the candidates
    of recent queries with those in the log, which covers scores and request-time values.

    Args:
        executor: the collection.
        ranker: with what it was trained on; or the path of its file.
        sample: how many stored points to draw.
        topics: queries, e.g. of the last week, whose candidates are compared instead; they need no judgments.
        batch_size: how many topics share a round trip.
        retries: how often a search that fails in passing is made again; as of `evaluate`.

    Raises:
        StrategyError: the ranker keeps nothing to compare with, or an argument is wrong.
        PlanError: the collection is empty, or doesn't fit the candidates.
    """
    check_counts(1, sample=sample, batch_size=batch_size)
    policy = Retries.of(retries)
    ranker = load_ranker(ranker, "drift")
    then = ranker.reference if topics is None else ranker.quantiles
    features = {name: feature for name, feature in ranker.features.items() if name in then}
    if not features:
        hint = "log features with sample= above 0, or give topics=" if topics is None else "fit it with fit_logistic"
        raise StrategyError(f"this ranker doesn't know how its features were distributed: {hint}")
    if topics is None:
        tables = [_draw_stored(executor, features, sample, policy)]
    else:
        tables = _find_candidates(executor, ranker, topics, batch_size, policy)
    if not sum(map(len, tables)):
        raise PlanError([f"nothing was found in {executor.collection!r}: there is nothing to compare"])
    values = np.concatenate([compute_features(features, table) for table in tables])
    payloads = tables[0].payloads if topics is None else None
    judged = [
        _judge(name, feature, then[name], values[:, number], payloads)
        for number, (name, feature) in enumerate(features.items())
    ]
    judged.sort(key=lambda one: (one.verdict != "gone", -one.psi))
    left_out = tuple(name for name in ranker.features if name not in features)
    return Drift(tuple(judged), len(values), "stored points" if topics is None else "candidates", left_out)


def check_fields(executor: Executor, ranker: RankerLike, *, sample: int = 200) -> None:
    """Refuse a collection whose points lack payload keys that the ranker reads; `ranker` may be the path of its file.

    Raises:
        StrategyError: it is no ranker.
        PlanError: of `sample` random points none has the key; lists every such key.
    """
    features = load_ranker(ranker, "check_fields").features
    payload_features = {name: one for name, one in features.items() if is_payload_only(one)}
    if not payload_features:
        return
    payloads = _draw_stored(executor, payload_features, sample).payloads
    problems: list[str] = []
    for name, feature in payload_features.items():
        if share_lacking(feature, payloads) == 1.0:
            read = brief(feature.key if isinstance(feature, Category) else feature.expression)
            there = f" ({other})" if (other := _instead(feature, payloads)) else ""
            problems.append(
                f"the ranker reads {name!r} ({read}), but none of {len(payloads)} random points of {executor.collection!r} has "
                f"it{there}: it was learned on another collection, or the payload has changed"
            )
    if problems:
        raise PlanError(problems)


def _judge(
    name: str, feature: Feature | Category, then: Reference, values: Array, payloads: Sequence[Mapping[str, Any]] | None
) -> FeatureDrift:
    # by the payload where that is known of training too, else by what is NaN
    missing = float(np.isnan(values).mean()) if payloads is None else share_lacking(feature, payloads)
    found = ""
    index = shift(then, values, missing, isinstance(feature, Category) or feature.missing == "nan")
    verdict: Verdict = "stable" if index < MOVED else "moved" if index < FAR else "far"
    if missing == 1.0 > then.missing:
        verdict, found = "gone", _instead(feature, payloads or ())
    return FeatureDrift(name, index, missing, then.missing, verdict, by_chance(then, len(values)), found)


def _instead(feature: Feature | Category, payloads: Sequence[Mapping[str, Any]]) -> str:
    """What points have at keys where none has a value of the right kind; "" if nothing."""
    gone = [key for key in keys_read(feature) if find_missing([key], payloads) == 1.0]
    there = ((key, instead(key, payloads)) for key in gone)
    return ", ".join(f"no point has a {kind_of(key)} at {key.key!r} but {found}" for key, found in there if found)


def _draw_stored(executor: Executor, features: Known, sample: int, retries: Retries = NO_RETRIES) -> Table:
    points = draw_points(executor, selector(features), sample, retries=retries)
    return Table([point.payload or {} for point in points], [point.id for point in points], view=executor.target().view)


def _find_candidates(
    executor: Executor, ranker: LearnedRanker, topics: Topics, batch_size: int, retries: Retries
) -> list[Table]:
    target, moment = executor.target(), dt.datetime.now(dt.UTC)
    candidates = CandidateSearch.of(ranker.candidates, SearchOptions(with_payload=selector(ranker.features)), target)
    executor.plan(candidates.formula)
    services = RetryingServices(executor, retries)
    flows = [search_candidates(candidates, replace(one.query, now=one.now or moment), target, one.filter) for one in topics]
    return [there.table for batch in in_batches(flows, batch_size) for there in run(together(batch), services)]

"""What is wrong with features before anything is searched, and what turns out when the candidates are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from qdrant_client import models

from .. import Executor, StrategyError
from .._internals import Lint, Search, did_you_mean, has, instead, kind_of, lacking, leaves
from ..evaluate import Topic
from ..expressions import Expression
from ..expressions._internals import (
    Candidate,
    PayloadKey,
    candidate_scores,
    conditions,
    feature_names,
    map_names,
    place_names,
    score_index,
    undecided,
)
from ..planning import Target
from ..stages import Formula
from .features import Category, Feature
from .log_columns import reads_of

__all__ = ["Seen", "check_conditions", "check_given", "check_scores"]

Known = Mapping[str, Feature | Category]
Payloads = Sequence[Mapping[str, Any]]
_SHOWN: Final = 5  # points whose keys a warning lists


def check_scores(features: Known, formula: Formula) -> None:
    """Refuse features that read the score of a candidate that isn't there.

    Raises:
        StrategyError: one does; the message lists the candidates.
    """
    names = [stage.title or "" for stage in formula.candidates]
    candidates = [Candidate(stage.title) for stage in formula.candidates]
    for name, expression in _expressions(features):
        for read in candidate_scores(expression):
            try:
                score_index(read, candidates)
            except StrategyError as error:
                raise StrategyError(f"the feature {name!r}: {error}{did_you_mean(read.name or '', names)}") from None


def check_conditions(features: Known, target: Target) -> None:
    """Refuse features with conditions that can't be decided here as the engine decides them.

    Raises:
        StrategyError: one has; the message says why.
    """
    for name, expression in _expressions(features):
        for condition in conditions(expression):
            if why := undecided(condition, target.view):
                raise StrategyError(f"the feature {name!r}: {why}")


def check_given(features: Known, topics: Sequence[Topic]) -> None:
    """Refuse features that read a request-time value which no topic brings along; that some lack it, their failure tells.

    Raises:
        StrategyError: one does; the message says where to write the value.
    """
    for name, expression in _expressions(features):
        for value in _needed(expression):
            if not any(value in topic.params for topic in topics):
                raise StrategyError(
                    f"the feature {name!r} reads the request-time value {value!r}, which none of the {len(topics)} judged "
                    'topics brings along: give it in Topic.features, in a file as "features" (of a line of JSON, or a '
                    f'column of CSV): {{"{value}": …}}'
                )


def _expressions(features: Known) -> Iterator[tuple[str, Expression]]:
    for name, feature in features.items():
        if isinstance(feature, Feature):
            yield name, feature.expression


def _needed(expression: Expression) -> list[str]:
    """The request-time values without a default."""
    wanted = feature_names(expression) | map_names(expression) | dict.fromkeys(place_names(expression), True)
    return [name for name, needed in wanted.items() if needed]


@dataclass
class Seen:
    """Which payload keys that features read had a value of the right kind in any candidate so far.

    Attributes:
        features: what is logged.
        candidates: how many there were.
        there: the keys that had one.
        others: key → what was there instead.
    """

    features: Known
    candidates: int = 0
    there: set[PayloadKey] = field(default_factory=set[PayloadKey])
    others: dict[PayloadKey, str] = field(default_factory=dict[PayloadKey, str])

    def look(self, payloads: Payloads) -> None:
        """Look at the candidates of one topic."""
        self.candidates += len(payloads)
        for key in self._keys().keys() - self.there:
            if any(has(payload, key) for payload in payloads):
                self.there.add(key)
            elif key not in self.others and (found := instead(key, payloads)):
                self.others[key] = found

    def warnings(self, executor: Executor, stored: Payloads, resumed: bool) -> Iterator[Lint]:
        """A warning for each feature that is the same for all candidates because none has what it reads.

        Args:
            executor: is asked for the keys that there are.
            stored: of random points.
            resumed: whether there are candidates in the log that weren't looked at; `stored` then has to agree.
        """
        absent = {key: names for key, names in self._keys().items() if key not in self.there}
        if resumed:
            absent = {key: names for key, names in absent.items() if lacking([key], stored) == 1.0}
        there = _stored_keys(executor) if absent else []
        for key, names in absent.items():
            other = self.others.get(key) or instead(key, stored)
            listed = ", ".join(map(repr, there))
            hint = f" but {other}" if other else f"; there are {listed}{did_you_mean(key.key, there)}" if there else ""
            yield Lint(
                "absent-field",
                f"the feature {', '.join(map(repr, names))} reads {key.key!r}, but no candidate has a {kind_of(key)} "
                f"there{hint}. It counts as missing in every row, so that nothing can be learned of it",
            )

    def _keys(self) -> dict[PayloadKey, list[str]]:
        """The keys that features read, with the features' names."""
        found: dict[PayloadKey, list[str]] = {}
        for name, feature in self.features.items():
            for key in reads_of(feature):
                found.setdefault(key, []).append(name)
        return found


def _stored_keys(executor: Executor) -> list[str]:
    [points] = executor.search(Search([models.QueryRequest(limit=_SHOWN, with_payload=True)]))
    return sorted({key for point in points for key in leaves(point.payload or {})})  # gRPC's have no order

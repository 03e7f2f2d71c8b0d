"""A formula that is computed here, with numpy, over the candidates that Qdrant finds: for models too large for a request.

    strategy = Formula(from_model(forest, features, on_client=True)).over(Nearest("dense", limit=100)).on_client()

One round trip, as for the formula in Qdrant: each candidate stage is searched alone, all of them in one batch, and the
formula is computed for the points that any of them found. The scores are the same. On several shards rescorings among the
candidates take one more, for their own candidates, so that all rank those of the whole collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from qdrant_client import models

from .candidates import formula_table
from .capabilities import AbilityName
from .errors import Lint, ScoringError, StrategyError
from .expressions.conditions import undecided
from .expressions.evaluation import Table, score_points
from .expressions.inspect import depth, payload_keys, walk
from .expressions.nodes import Expression, Raw, When
from .formula_limits import index_warnings
from .points import by_id, selected, with_keys
from .query import Inputs, Query, SearchOptions, Target
from .schema import Schema
from .stages import Formula
from .stages.formula import DEEPEST
from .steps import Flow, Points, Request, together
from .strategies import Stage, Strategy, alone, embedded, searched, shortfalls
from .values import brief

__all__ = ["ClientFormula", "ComputedHere"]

_ONLY_QDRANT: Final = (models.HasVectorCondition,)


class ComputedHere(Formula):
    """The formula of a `ClientFormula`, as one of its stages: it isn't sent, so that Qdrant's limits don't count."""

    def own_problems(self, target: Target) -> Iterator[str]:
        yield from self.reading_problems(target)
        if depth(self.expression) > DEEPEST:
            yield f"the formula is {depth(self.expression)} levels deep, and at most {DEEPEST} are possible: nest less"
        for node in walk(self.expression):
            if isinstance(node, Raw) or (isinstance(node, When) and _asks_qdrant(node.condition)):
                yield f"{brief(node)} can be computed by Qdrant only, and this formula is computed on the client"
            elif isinstance(node, When) and (why := undecided(node.condition, target.view)):
                yield f"{why}; and this formula is computed on the client"

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        yield from (lint for lint in index_warnings(self.expression, target.schema, "server") if lint.code == "integer-index")
        yield from self.sample_warnings(target)

    def own_features(self) -> Iterator[AbilityName]:
        yield from ()

    def _head(self) -> str:
        return super()._head().replace(type(self).__name__, Formula.__name__, 1)


@dataclass(frozen=True, repr=False)
class ClientFormula(Strategy):
    """A formula computed here, over the candidates that its stages find; `Formula(…).over(…).on_client()` makes it.

    What it reads of the payload is fetched for every candidate; it needs no text, no model and no payload indexes, and works
    on servers that have no formulas (before 1.14).

    Args:
        formula: over its candidates. Its filter and score threshold count; a limit wouldn't.

    Raises:
        StrategyError: it is no formula, or has a limit.
    """

    formula: Formula

    def __post_init__(self) -> None:
        if not isinstance(self.formula, Formula):
            raise StrategyError(f"on the client runs a formula, got {brief(self.formula)}")
        if self.formula.limit is not None:
            raise StrategyError(
                f"limit={self.formula.limit} of a formula on the client has no effect: set the candidates' limits; how many "
                "points are returned, the call says"
            )

    @cached_property
    def _here(self) -> ComputedHere:
        return ComputedHere(**{attribute.name: getattr(self.formula, attribute.name) for attribute in fields(Formula)})

    def unchecked(self) -> ClientFormula:
        """This formula without what it was trained on, as `Formula.unchecked`."""
        return replace(self, formula=self.formula.unchecked())

    @property
    def expression(self) -> Expression:
        """What is computed."""
        return self.formula.expression

    def needs(self) -> frozenset[str]:
        return self.formula.needs()

    def resolved(self, schema: Schema) -> Self:
        return replace(self, formula=self.formula.resolved(schema))

    def stages(self) -> Iterator[Stage]:
        yield from self._here.stages()

    def warnings(self, target: Target) -> Iterator[Lint]:
        yield from self._here.own_warnings(target)
        for candidate in self.formula.candidates:
            yield from candidate.warnings(target)

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        told = [lint for candidate in self.formula.candidates for lint in _candidate_warnings(candidate, schema)]
        yield from {str(lint): lint for lint in told}.values()

    def shard_round_trips(self, schema: Schema) -> int:
        return max(candidate.collection_round_trips for candidate in self.formula.candidates) if schema.shards > 1 else 0

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        if options.group_by is not None:
            yield "group_by can't be combined with a formula on the client: it ranks points, not groups"
            return
        yield from shortfalls(self.formula, options.reach, "the call asks for", options.needed)

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self._requests(self._candidates(options), inputs, options)

    def _candidates(self, options: SearchOptions) -> list[Stage]:
        return [alone(candidate, options.needed, self.formula.filter) for candidate in self.formula.candidates]

    def _requests(self, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        asked = replace(options, offset=None, score_threshold=None, search_params=None, with_payload=self._payload(options))
        for candidate in candidates:
            yield candidate.request(inputs, replace(asked, limit=candidate.limit or 1))

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        points, _, _ = yield from self.computed(query, options, target)
        return points

    def computed(self, query: Query, options: SearchOptions, target: Target) -> Flow[tuple[Points, list[Points], Inputs]]:
        """The results, what each candidate stage found, and what the query is made of."""
        inputs = yield from embedded(query, self.needs(), target)
        candidates = yield from together(
            [candidate.over_collection(inputs, options) for candidate in self._candidates(options)]
        )
        answers = yield from searched(lambda: list(self._requests(candidates, inputs, options)), options, target)
        points = list({point.id: point for answer in reversed(answers) for point in answer}.values())
        scores = self._scores(points, formula_table(self.formula, points, answers, inputs))
        threshold = self.formula.score_threshold if options.score_threshold is None else options.score_threshold
        ranked = sorted(zip(points, scores, strict=True), key=lambda pair: (-pair[1], by_id(pair[0])))
        if threshold is not None:
            ranked = [pair for pair in ranked if pair[1] >= np.float32(threshold)]
        return [_scored(point, score, options) for point, score in ranked[options.offset or 0 : options.reach]], answers, inputs

    def _payload(self, options: SearchOptions) -> models.WithPayloadInterface:
        """What to fetch: what the call asks for and what the formula reads."""
        return with_keys(options.with_payload, [key.key for key in payload_keys(self.expression)])

    def _scores(self, points: Points, table: Table) -> list[float]:
        if not points:
            return []
        with np.errstate(over="ignore"):
            scores = score_points(self.expression, table)
        if not np.isfinite(scores).all():
            worst = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise ScoringError(
                f"the formula gives point {points[worst].id!r} {scores[worst]}, which is no score: keep it finite"
            )
        return [float(score) for score in scores]

    def __repr__(self) -> str:
        return f"{self.formula!r}.on_client()"


def _candidate_warnings(candidate: Stage, schema: Schema) -> Iterator[Lint]:
    """What changes with the number of shards in a candidate that is searched alone, over the whole collection's candidates."""
    if candidate.vector is not None:
        for inner in candidate.candidates:
            yield from _candidate_warnings(inner, schema)
        candidate = replace(candidate, candidates=())
    yield from candidate.shard_warnings(schema)


def _scored(point: models.ScoredPoint, score: float, options: SearchOptions) -> models.ScoredPoint:
    return point.model_copy(update={"score": score, "payload": selected(point.payload, options.with_payload)})


def _asks_qdrant(condition: Any) -> bool:
    """Whether a condition is on what isn't fetched: a point's vectors."""
    if isinstance(condition, models.Filter):
        clauses = (
            condition.must,
            condition.should,
            condition.must_not,
            condition.min_should and condition.min_should.conditions,
        )
        return any(_asks_qdrant(each) for clause in clauses for each in (clause if isinstance(clause, list) else [clause]))
    return isinstance(condition, _ONLY_QDRANT)

"""Candidates scored by an expression: in Qdrant (`Formula`), or here with numpy (`ClientFormula`).

    strategy = Formula(from_model(forest, features, on_client=True)).over(Nearest("dense", limit=100)).on_client()

Here it is computed for models too large for a request. It takes one round trip, as the formula in Qdrant does: each candidate
stage is searched alone, all of them in one batch, and the formula is computed for the points that any of them found. The scores
are the same. On several shards rescorings among the candidates take one more, for their own candidates, so that all rank those
of the whole collection.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from itertools import product
from os import PathLike
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..capabilities import AbilityName, Capabilities
from ..costs import Estimate, estimate, place_warnings
from ..errors import FormatError, Lint, ScoringError, StrategyError
from ..explain.results import Account, Column, Explained, Find, Found, Scored
from ..expressions.build import Sigmoid
from ..expressions.conditions import undecidable_reason
from ..expressions.evaluation import Table, compute, score_points
from ..expressions.inspect import candidate_scores, depth, find_fixed_nodes, payload_keys, placeholder_params, reads_model, walk
from ..expressions.lowering import MODEL_ELSEWHERE, Lowering, ScoreSource, lower, score_index, token_count
from ..expressions.nodes import Expression, ExpressionLike, QueryTokens, Raw, Sum, When, as_expression
from ..expressions.text import brief_expression
from ..formula_limits import (
    Extent,
    decay_warnings,
    extent,
    extent_problems,
    extent_warnings,
    index_problems,
    index_warnings,
    number_warnings,
    path_problems,
)
from ..points import by_id, select_payload, trim, with_keys
from ..query import Inputs, Query, SearchOptions, Target, embed_query, query_token_counts
from ..sampling import drift_warnings, field_problems, sample_payloads
from ..schema import Schema
from ..serialise import load
from ..steps import Flow, Points, Request, together
from ..strategies import Stage, Strategy, search
from ..trained import Trained
from ..values import brief

__all__ = ["DEEPEST", "ClientFormula", "ComputedHere", "Formula", "formula_table", "scores_by_candidate"]

_LIMIT: Final = 10  # Qdrant's own
_MOST_CANDIDATES: Final = 5  # of which all is tried that they may have found
DEEPEST = 150  # far beyond what a server takes, and within what Python's own recursion can compile


@dataclass
class _Memory:
    """What was compiled for one server and one list of candidates: all of it, or the parts that no query changes."""

    candidates: tuple[ScoreSource, ...]
    query: models.FormulaQuery | None = None
    compiled: dict[int, models.Expression] = dataclass_field(default_factory=dict[int, models.Expression])
    defaults: dict[str, float] = dataclass_field(default_factory=dict[str, float])
    extent: Extent | None = None


@dataclass(frozen=True, repr=False)
class Formula(Stage, kind="formula"):
    """Candidates scored by an expression over their scores and payload, in Qdrant.

    Args:
        expression: built from `score()`, `field(key, default=…)`, numbers and operators, or a raw
            `qdrant_client.models` expression.
        trained: what the expression was trained on, for learned ones: plans then refuse collections that lack its payload
            keys, and warn where values have moved. It changes no score, and neither `==` nor `repr` look at it.

    Raises:
        StrategyError: it is no expression, or reads the score of a candidate that isn't there.
    """

    expression: Expression
    trained: Trained | None = dataclass_field(default=None, compare=False)

    def __init__(
        self,
        expression: ExpressionLike,
        *,
        candidates: tuple[Stage, ...] = (),
        limit: int | None = None,
        filter: models.Filter | None = None,
        score_threshold: float | None = None,
        search_params: models.SearchParams | None = None,
        name: str | None = None,
        trained: Trained | None = None,
    ) -> None:
        if isinstance(expression, Stage):  # as load() gives it
            raise StrategyError(f"{brief(expression)} is a strategy already: use it as it is, or .over(…) other candidates")
        # written out because what is given and what is kept differ: a number becomes an expression
        object.__setattr__(self, "expression", as_expression(expression))
        object.__setattr__(self, "candidates", candidates)
        object.__setattr__(self, "limit", limit)
        object.__setattr__(self, "filter", filter)
        object.__setattr__(self, "score_threshold", score_threshold)
        object.__setattr__(self, "search_params", search_params)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "trained", trained)
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        if reads_model(self.expression):
            raise StrategyError(MODEL_ELSEWHERE)
        if self.search_params is not None:
            raise StrategyError("a formula searches nothing that search_params could be for: give them to its candidates")
        if self.candidates and all(stage.title is not None for stage in self.candidates):
            self._check_scores(self.candidates)

    @classmethod
    def load(cls, path: str | PathLike[str], *, checked: bool = True) -> Formula:
        """The formula in a JSON file: a saved strategy, or what `LearnedRanker.save` wrote.

        Args:
            path: the file.
            checked: whether plans look at a sample of the collection for what a learned formula was trained on.

        Raises:
            FormatError: the file is malformed, or holds another strategy.
            OSError: it can't be read.
        """
        found = load(path)
        if isinstance(found, Formula):
            return found if checked else found.uncheck()
        holds = f"no formula but a {type(found).__name__}"  # without its repr, which may have megabytes
        if isinstance(found.scoring_stage, Formula):
            holds = "a formula that is computed on the client (.on_client()), which is a strategy of its own"
        raise FormatError(f"holds {holds}: qdrant_rerank.load(path) loads any strategy", path)

    @classmethod
    def of(cls, strategy: object, who: str = "expected") -> Formula:
        """The formula that a strategy's results are scored by, in Qdrant or here.

        Raises:
            StrategyError: it is no strategy, or scored by something else; begins with `who`.
        """
        if not isinstance(found := getattr(strategy, "scoring_stage", None), Formula):
            raise StrategyError(f"{who} a formula, got {brief(strategy)}")
        return found

    def uncheck(self) -> Self:
        below = super().uncheck()
        return below if below.trained is None else replace(below, trained=None)

    @property
    def calibrated(self) -> bool:
        return self.trained is not None and self.trained.calibrated

    def _check_scores(self, candidates: tuple[Stage, ...]) -> None:
        named = [ScoreSource(stage.title) for stage in candidates]
        for score in candidate_scores(self.expression):
            score_index(score, named)

    def _check_tokens(self, target: Target) -> None:
        tokens = self._tokens(Inputs(target))
        for node in walk(self.expression):
            if isinstance(node, QueryTokens):
                token_count(node, tokens)

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        target = inputs.target
        memory = self._memory(target)
        if memory.query is not None:
            return memory.query
        lowering = Lowering(
            memory.candidates,
            target.capabilities,
            inputs.params,
            inputs.now,
            memory.defaults,
            self._fixed_nodes,
            memory.compiled,
            self._tokens(inputs),
            target.thorough,
        )
        formula = lower(self.expression, lowering)
        query = models.FormulaQuery.model_construct(formula=formula, defaults=memory.defaults)
        if id(self.expression) in self._fixed_nodes:
            memory.query = query
        return query

    def _tokens(self, inputs: Inputs) -> dict[str, int]:
        """By multivector that a candidate compares, how many token vectors the query has; 1 where it has none yet."""
        return query_token_counts((stage.vector for stage in self.candidates), inputs)

    def as_candidates(self, schema: Schema) -> tuple[ScoreSource, ...]:
        """The candidate stages as the expression sees them."""
        return tuple(ScoreSource(stage.title, stage.is_distance(schema)) for stage in self.candidates)

    def _memory(self, target: Target) -> _Memory:
        schema, capabilities, thorough = target.schema, target.capabilities, target.thorough
        known = self._latest.get(thorough)
        if known is None or known[0] is not schema or known[1] is not capabilities:  # as for the last query, mostly
            candidates = self.as_candidates(schema)
            found = self._memories.setdefault((candidates, capabilities, thorough), _Memory(candidates))
            known = self._latest[thorough] = schema, capabilities, found
        return known[2]

    @cached_property
    def _memories(self) -> dict[tuple[tuple[ScoreSource, ...], Capabilities, bool], _Memory]:
        """Compiled formulas: compiling a learned one takes longer than the query, and most of it never changes."""
        return {}

    @cached_property
    def _latest(self) -> dict[bool, tuple[Schema, Capabilities, _Memory]]:
        """What was compiled last, for the quick guards and for the thorough ones, with what it was compiled for."""
        return {}

    @cached_property
    def _fixed_nodes(self) -> dict[int, Expression]:
        return find_fixed_nodes(self.expression)

    @property
    def own_params(self) -> Mapping[str, Any]:
        return self._params

    @cached_property
    def _params(self) -> Mapping[str, Any]:
        return placeholder_params(self.expression)

    def own_expressions(self) -> Iterator[Expression]:
        yield self.expression

    def own_abbreviations(self) -> Iterator[tuple[str, str]]:
        yield repr(self.expression), brief_expression(self.expression)

    @property
    def grouped_here(self) -> bool:
        return any(candidate.grouped_here for candidate in self.candidates)

    def on_client(self) -> ClientFormula:
        """This formula, computed here over the candidates that Qdrant finds: for models too large for a request."""
        return ClientFormula(self)

    def find_reading_problems(self, target: Target) -> Iterator[str]:
        """Why the formula can't read what it reads, wherever it is computed."""
        if not self.candidates:
            yield f"{brief(self)} has no candidates to score: add .over(Nearest(limit=100))"
        else:
            try:
                self._check_scores(self.candidates)
                self._check_tokens(target)
            except StrategyError as error:
                yield str(error)
            yield from self._flattering_defaults(target.schema)
        yield from path_problems(self.expression)
        yield from self.sample_problems(target)

    def own_problems(self, target: Target) -> Iterator[str]:
        yield from self.find_reading_problems(target)
        if depth(self.expression) > DEEPEST:
            yield f"the formula is {depth(self.expression)} levels deep; servers take fewer than {DEEPEST}: nest less"
            return
        yield from index_problems(self.expression, target.schema)
        yield from extent_problems(self._extent(target), target.grpc)

    def _flattering_defaults(self, schema: Schema) -> Iterator[str]:
        """Distances of points that their stage didn't find, which would count as 0: as the nearest of all."""
        near = [stage.title for stage in self.candidates if stage.is_distance(schema)] if len(self.candidates) > 1 else []
        for read in candidate_scores(self.expression):
            if read.name in near and read.default == 0:
                yield (
                    f"score({read.name!r}) is minus a distance, and 0, the best there is, for points that {read.name!r} "
                    f"didn't find: say what they get, e.g. score({read.name!r}, default=-10.0)"
                )

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        yield from index_warnings(self.expression, target.schema, target.capabilities.engine)
        yield from number_warnings(self.expression, target.capabilities.engine)
        yield from decay_warnings(self.expression)
        yield from self.sample_warnings(target)
        if self.candidates and depth(self.expression) <= DEEPEST:
            yield from extent_warnings(self._extent(target), target.grpc)
            if (found := self.estimate(target, indexed=True)) is not None:
                yield from place_warnings(found, self._extent(target))

    def estimate(self, target: Target, indexed: bool = False) -> Estimate | None:
        """What it costs in Qdrant and here; None where no server is asked, or only Qdrant can compute it.

        Args:
            target: the collection.
            indexed: whether to take the payload indexes that are missing for made.
        """
        if target.capabilities.engine != "server" or not self.is_computable:
            return None
        candidates = sum(candidate.limit or _LIMIT for candidate in self.candidates)
        unindexed = 0 if indexed else sum(key not in target.schema.indexes for key in self.keys)
        return estimate(self._extent(target), self._nodes, candidates, len(self.keys), unindexed)

    def weigh_places(self, target: Target) -> str:
        found = self.estimate(target)
        return "" if found is None else f"in Qdrant: the formula takes {found}"

    @cached_property
    def keys(self) -> list[str]:
        """The payload keys that the expression reads; to walk through a forest takes as long as to compute it."""
        return list(dict.fromkeys(key.key for key in payload_keys(self.expression)))

    @cached_property
    def _nodes(self) -> int:
        return sum(1 for _ in walk(self.expression))

    @cached_property
    def sample_key(self) -> tuple[str, ...]:
        """What a sample of the collection depends on: the filter and the payload keys that the formula reads."""
        return repr(self.filter), *sorted({f"{key.key} {key.index}" for key in payload_keys(self.expression)})

    def sample_problems(self, target: Target) -> Iterator[str]:
        """Payload keys that a learned formula reads and no point has."""
        if self.trained is not None and (sample := target.samples.get(self.sample_key)) is not None:
            yield from field_problems(sample, target.schema.collection)

    def sample_warnings(self, target: Target) -> Iterator[Lint]:
        """Values that have moved since a learned formula was trained."""
        if self.trained is not None and (sample := target.samples.get(self.sample_key)) is not None:
            yield from drift_warnings(self.trained, self.expression, sample, target.view)

    def own_expressions_as_written(self) -> Iterator[Expression]:
        if self.trained is None:
            yield self.expression

    def look_alone(self, target: Target, options: SearchOptions) -> Flow[Target]:
        if self.trained is None:
            return target
        return (yield from sample_payloads(self.expression, self.trained, self.filter, self.sample_key, target, options))

    def _extent(self, target: Target) -> Extent:
        """How large the formula is once compiled, measured once; request-time values don't change that much."""
        memory = self._memory(target)
        if memory.extent is None:
            memory.extent = self._measured(target)
        return memory.extent

    def _measured(self, target: Target) -> Extent:
        try:
            query = self.query(Inputs(target, {}, placeholder_params(self.expression)), 1)
        except (StrategyError, KeyError):  # reported as a problem of its own
            return Extent(0, 0, 0)
        assert isinstance(query, models.FormulaQuery)
        return extent(query.formula)

    def own_abilities(self) -> Iterator[AbilityName]:
        yield "formula"
        if self.score_threshold is not None:
            yield "formula_score_threshold"

    def options_abilities(self, options: SearchOptions) -> Iterator[AbilityName]:
        yield from super().options_abilities(options)
        if options.score_threshold is not None:
            yield "formula_score_threshold"

    def shards_apart(self, candidate: Stage, shards: int) -> int:
        return shards

    def account(self, points: Points, found: Sequence[Found], inputs: Inputs) -> Account:
        return _Summands(self, points, found, inputs)

    @property
    def is_computable(self) -> bool:
        return next(_only_qdrant(self.expression), None) is None

    def compute_scores(self, found: Sequence[Sequence[Scored]], table: Table, schema: Schema) -> Column:
        return compute(self.expression, replace(table, scores=scores_by_candidate(self, table.ids, found, schema)))

    def _own_arguments(self) -> Iterator[str]:
        yield repr(self.expression)


def scores_by_candidate(
    formula: Formula, ids: Sequence[Any], found: Sequence[Iterable[Scored]], schema: Schema
) -> Mapping[str | None, NDArray[np.float64]]:
    """What `score(name)` is for each of n points: by candidate name, n scores; NaN where that candidate didn't find the point.

    Distances are negated, as in the compiled formula. A single candidate's scores are there under None, too.

    Args:
        formula: whose candidates they are.
        ids: the n points.
        found: what each candidate found, in the order of the candidates.
        schema: says which scores are distances.
    """
    scores: dict[str | None, NDArray[np.float64]] = {}
    for candidate, points in zip(formula.as_candidates(schema), found, strict=True):
        sign = -1.0 if candidate.is_distance else 1.0
        by_id = {point.id: sign * point.score for point in points}
        scores[candidate.name] = np.array([by_id.get(id, np.nan) for id in ids], dtype=np.float64)
        if len(found) == 1:
            scores[None] = scores[candidate.name]
    return scores


def formula_table(formula: Formula, points: Points, found: Sequence[Iterable[Scored]], inputs: Inputs) -> Table:
    """What numpy computes a formula from, for these points and what each candidate found; for one query."""
    ids = [point.id for point in points]
    return Table(
        payloads=[point.payload or {} for point in points],
        ids=ids,
        scores=scores_by_candidate(formula, ids, found, inputs.target.schema),
        params=inputs.params,
        now=inputs.now or dt.datetime.now(dt.UTC),
        tokens=query_token_counts((stage.vector for stage in formula.candidates), inputs),
        view=inputs.target.view,
    )


class _Summands(Account):
    """What each summand of a formula adds; where candidates tie, whatever of what they may have found fits the score."""

    def __init__(self, formula: Formula, points: Points, found: Sequence[Found], inputs: Inputs) -> None:
        super().__init__(points, found, ())
        self.formula, self.inputs, expression = formula, inputs, formula.expression
        if isinstance(expression, Sigmoid):
            expression, self.link = expression.operand, "sigmoid"
        self.summands = expression.terms if isinstance(expression, Sum) else (expression,)
        self.terms = self._add_up()

    def _add_up(self) -> list[tuple[str, Column]]:
        table = formula_table(self.formula, self.points, [each.values() for each in self.finds], self.inputs)
        return [(repr(summand), compute(summand, table)) for summand in self.summands]

    def mend(self, exact: Sequence[Mapping[Any, float]]) -> None:
        """Try what each candidate found, the score that it gives, and that it found nothing; for all results at once."""
        left = self.is_wrong()
        before = [dict(finds) for finds in self.finds]
        for choice in product(range(3), repeat=len(before)) if len(before) <= _MOST_CANDIDATES else ():
            if not left.any():
                break
            for candidate, option in enumerate(choice):
                for row in np.flatnonzero(left):
                    id = self.points[row].id
                    given = exact[candidate].get(id)
                    again = None if given is None else Find(id, None, given)
                    self.set_find(candidate, id, (before[candidate].get(id), again, None)[option])
            left &= ~self.is_close(self._add_up())
        for row in np.flatnonzero(left):  # nothing fits: as it was
            for candidate, finds in enumerate(before):
                self.set_find(candidate, self.points[row].id, finds.get(self.points[row].id))
        self.terms = self._add_up()


class ComputedHere(Formula):
    """The formula of a `ClientFormula`, as one of its stages: it isn't sent, so that Qdrant's limits don't count."""

    def own_problems(self, target: Target) -> Iterator[str]:
        yield from self.find_reading_problems(target)
        if depth(self.expression) > DEEPEST:
            yield f"the formula is {depth(self.expression)} levels deep, and at most {DEEPEST} are possible: nest less"
        for node in _only_qdrant(self.expression):
            yield f"{brief(node)} can be computed by Qdrant only, and this formula is computed on the client"
        for node in walk(self.expression):
            if (
                isinstance(node, When)
                and not _asks_qdrant(node.condition)
                and (why := undecidable_reason(node.condition, target.view))
            ):
                yield f"{why}; and this formula is computed on the client"

    def own_expressions(self) -> Iterator[Expression]:
        yield from ()

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        yield from (lint for lint in index_warnings(self.expression, target.schema, "server") if lint.code == "integer-index")
        yield from self.sample_warnings(target)

    def own_abilities(self) -> Iterator[AbilityName]:
        yield from ()

    def _head(self) -> str:
        return super()._head().replace(type(self).__name__, Formula.__name__, 1)


@dataclass(frozen=True, repr=False)
class ClientFormula(Strategy, kind="client_formula"):
    """A formula computed here, over the candidates that its stages find; `Formula(…).over(…).on_client()` makes it.

    What it reads of the payload is fetched for every candidate; it needs no text, no model and no payload indexes, and works
    on servers that have no formulas (before 1.14).

    Args:
        formula: over its candidates. Its filter and score threshold count; a limit wouldn't.

    Raises:
        StrategyError: it is no formula, or has a limit.
    """

    fetches_payload: ClassVar[bool] = True

    formula: Formula

    def __post_init__(self) -> None:
        object.__setattr__(self, "formula", Formula.of(self.formula, "on the client runs"))
        if self.formula.limit is not None:
            raise StrategyError(
                f"limit={self.formula.limit} of a formula on the client has no effect: set the candidates' limits; how many "
                "points are returned, the call says"
            )

    @cached_property
    def _here(self) -> ComputedHere:
        return ComputedHere(**{attribute.name: getattr(self.formula, attribute.name) for attribute in fields(Formula)})

    @property
    def scoring_stage(self) -> Stage:
        return self.formula

    def uncheck(self) -> Self:
        formula = self.formula.uncheck()
        return self if formula is self.formula else replace(self, formula=formula)

    @property
    def calibrated(self) -> bool:
        return self.formula.calibrated

    @property
    def expression(self) -> Expression:
        """What is computed."""
        return self.formula.expression

    def needs(self) -> frozenset[str]:
        return self.formula.needs()

    def weigh_places(self, target: Target) -> str:
        found = self.formula.estimate(target)
        return "here" if found is None else f"here: the formula takes {found}"

    def resolve(self, schema: Schema) -> Self:
        return replace(self, formula=self.formula.resolve(schema))

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
        yield from self.formula.shortfalls(options.reach, "the call asks for", options.needed)

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self._requests(self._candidates(options), inputs, options)

    def _candidates(self, options: SearchOptions) -> list[Stage]:
        return [candidate.alone(options.needed, self.formula.filter) for candidate in self.formula.candidates]

    def _requests(self, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        asked = replace(options, offset=None, score_threshold=None, search_params=None, with_payload=self._payload(options))
        for candidate in candidates:
            yield candidate.request(inputs, replace(asked, limit=candidate.limit or 1))

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        points, _, _ = yield from self._rank(query, options, target)
        return points

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        """What the formula is computed from is there anyway."""
        points, found, inputs = yield from self._rank(query, replace(options, with_payload=True), target)
        reasons = yield from self.formula.reasons(points, self.formula.candidates, found, inputs, options)
        return Explained(trim(points, options), reasons)

    def _rank(self, query: Query, options: SearchOptions, target: Target) -> Flow[tuple[Points, list[Points], Inputs]]:
        """The results, what each candidate stage found, and what the query is made of."""
        inputs = yield from embed_query(query, self.needs(), target)
        candidates = yield from together(
            [candidate.over_collection(inputs, options) for candidate in self._candidates(options)]
        )
        answers = yield from search(lambda: list(self._requests(candidates, inputs, options)), options, target)
        points = list({point.id: point for answer in reversed(answers) for point in answer}.values())
        scores = self._scores(points, formula_table(self.formula, points, answers, inputs))
        threshold = self.formula.score_threshold if options.score_threshold is None else options.score_threshold
        ranked = sorted(zip(points, scores, strict=True), key=lambda pair: (-pair[1], by_id(pair[0])))
        if threshold is not None:
            ranked = [pair for pair in ranked if pair[1] >= np.float32(threshold)]
        return [_scored(point, score, options) for point, score in ranked[options.offset or 0 : options.reach]], answers, inputs

    def _payload(self, options: SearchOptions) -> models.WithPayloadInterface:
        """What to fetch: what the call asks for and what the formula reads."""
        return with_keys(options.with_payload, self.formula.keys)

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
    return point.model_copy(update={"score": score, "payload": select_payload(point.payload, options.with_payload)})


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
    return isinstance(condition, models.HasVectorCondition)


def _only_qdrant(expression: Expression) -> Iterator[Expression]:
    """What of an expression can't be computed here."""
    for node in walk(expression):
        if isinstance(node, Raw) or (isinstance(node, When) and _asks_qdrant(node.condition)):
            yield node

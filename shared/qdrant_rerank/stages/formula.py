"""Candidates scored by an expression: in Qdrant (`Formula`), or here with numpy (`ClientFormula`).

    strategy = Formula(from_model(forest, features, on_client=True)).over(Nearest("dense", limit=100)).on_client()

Here it is computed for models too large for a request. It takes one round trip, as the formula in Qdrant does: each candidate
stage is searched alone, all of them in one batch, and the formula is computed for the points that any of them found. The scores
are the same. On several shards rescorings among the candidates take one more, for their own candidates, so that all rank those
of the whole collection.

On a server a formula that is pinned neither by `.on_server()` nor by `.on_client()` is computed here by itself where that takes
half of the time at most, as `costs` estimates it, and gives what Qdrant would: over the candidates that each shard has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from os import PathLike
from typing import Any, ClassVar, Final, Self

from qdrant_client import models

from ..capabilities import AbilityName, Capabilities
from ..costs import Estimate, estimate, place_warnings
from ..errors import FormatError, Lint, StrategyError
from ..explain.results import Account, Column, Explained, Found, Scored
from ..expressions.conditions import undecidable_reason
from ..expressions.evaluation import Table, compute
from ..expressions.forest import count_nodes
from ..expressions.inspect import (
    candidate_scores,
    conditions,
    depth,
    find_fixed_nodes,
    map_names,
    number_defaults,
    payload_keys,
    placeholder_params,
    reads_model,
    walk,
)
from ..expressions.lowering import MODEL_ELSEWHERE, Lowering, ScoreSource, lower, score_index, token_count
from ..expressions.nodes import Expression, ExpressionLike, QueryTokens, When, as_expression
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
from ..points import trim, with_keys
from ..query import Inputs, Query, SearchOptions, Target, embed_query, query_token_counts
from ..request_parts import keys_in, request_limits, strict_limits
from ..schema import Schema, VectorInfo
from ..search import search
from ..serialise import load
from ..steps import Flow, Points, Request, together
from ..strategies import Latest, Stage, Strategy
from ..trained import Trained, drift_warnings, field_problems, sample_payloads, vector_problems
from ..values import brief
from .client_ranking import (
    Summands,
    asks_qdrant,
    candidate_table,
    qdrant_only_parts,
    rank_points,
    scores_by_candidate,
    shard_warnings_alone,
)

_CHOICES_KEPT: Final = 32
_TOKENS: Final = 32  # of a multivector, give or take
_CATEGORY: Final = "a category"
_NOT_HERE: Final = "It can't be computed here instead by itself:"
DEEPEST = 150  # far beyond what a server takes, and within what Python's own recursion can compile


@dataclass
class _Memory:
    """What was compiled for one server and one list of candidates: all of it, or the parts that no query changes."""

    candidates: tuple[ScoreSource, ...]
    indexed: Mapping[str, float | None]
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
        pinned: whether it is computed in Qdrant in any case, as `.on_server()` says; else here where that is far faster.

    Raises:
        StrategyError: it is no expression, or reads the score of a candidate that isn't there.
    """

    expression: Expression
    trained: Trained | None = dataclass_field(default=None, compare=False)
    pinned: bool = False

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
        pinned: bool = False,
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
        object.__setattr__(self, "pinned", pinned)
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
            memory.indexed,
        )
        formula = lower(self.expression, lowering)
        defaults = {name: value for name, value in memory.defaults.items() if value or not name.startswith("$")}
        query = models.FormulaQuery.model_construct(formula=formula, defaults=defaults)
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
        guards = target.thorough, target.quirks.distrusts_indexes
        return self._latest_memory.get(lambda: self._find_memory(target), target.schema, target.capabilities, *guards)

    def _find_memory(self, target: Target) -> _Memory:
        candidates, indexed = self.as_candidates(target.schema), self._indexed_defaults(target)
        key = candidates, target.capabilities, target.thorough, frozenset(indexed.items())
        return self._memories.setdefault(key, _Memory(candidates, indexed))

    def _indexed_defaults(self, target: Target) -> dict[str, float | None]:
        """By payload key with an index of numbers: its default, see `Lowering`; none once thorough guards are needed."""
        view, trusts = target.view, not target.quirks.distrusts_indexes
        if view.thorough:
            return {}
        defaults = number_defaults(self.expression).items()
        return {key: value if trusts else None for key, value in defaults if (at := view.index(key)) and at.serves_ranges}

    @cached_property
    def _memories(
        self,
    ) -> dict[tuple[tuple[ScoreSource, ...], Capabilities, bool, frozenset[tuple[str, float | None]]], _Memory]:
        """Compiled formulas: compiling a learned one takes longer than the query, and most of it never changes."""
        return {}

    @cached_property
    def _latest_memory(self) -> Latest[_Memory]:
        return Latest()

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

    def on_server(self) -> Self:
        """This formula, computed in Qdrant in any case, even where it would be far faster here."""
        return replace(self, pinned=True)

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
        if self.trained is not None:
            yield from vector_problems(self.trained, self.needs(), target)

    def own_problems(self, target: Target) -> Iterator[str]:
        yield from self.find_reading_problems(target)
        if self._is_too_deep:
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
        if self.candidates and not self._is_too_deep:
            yield from extent_warnings(self._extent(target), target.grpc)

    def inner_warnings(self, target: Target) -> Iterator[Lint]:
        yield from super().inner_warnings(target)
        if self._has_choice(target):
            found = self._estimate(SearchOptions(), target, self._extent(target), indexed=True)
            yield from place_warnings(found, self._extent(target), "Only the outermost stage can be computed here instead")

    def problems(self, target: Target) -> Iterator[str]:
        faster = self.find_client_formula(SearchOptions(), target)
        yield from super().problems(target) if faster is None else faster.problems(target)

    def warnings(self, target: Target) -> Iterator[Lint]:
        yield from self._warnings_for(SearchOptions(), target)

    def _warnings_for(self, options: SearchOptions, target: Target) -> Iterator[Lint]:
        if (faster := self.find_client_formula(options, target)) is not None:
            yield from faster.warnings(target)
            return
        yield from self.own_warnings(target)
        for candidate in self.candidates:
            yield from candidate.inner_warnings(target)
        if self._has_choice(target) and not self.pinned and (choice := self._choose(options, target)).estimate.is_better_here:
            yield from place_warnings(choice.estimate, self._extent(target), choice.why)

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        yield from super().options_problems(options, target)
        if self._stays_for(options, target):
            yield from super().problems(target)

    def options_warnings(self, options: SearchOptions, target: Target) -> Iterator[Lint]:
        yield from super().options_warnings(options, target)
        if self._stays_for(options, target):
            yield from self._warnings_for(options, target)

    def _stays_for(self, options: SearchOptions, target: Target) -> bool:
        """Whether it is computed in Qdrant only because of what a call asks for."""
        moves = self.find_client_formula(SearchOptions(), target) is not None
        return moves and self.find_client_formula(options, target) is None

    # Where it is computed, as the outermost stage

    def find_client_formula(
        self, options: SearchOptions, target: Target, params: Mapping[str, Any] | None = None
    ) -> _FasterOnClient | None:
        """What computes it on the client for a call, where that is far faster; None where Qdrant does.

        Args:
            options: what the call asks for.
            target: the collection.
            params: the query's request-time values, whose maps decide how large a request is; as if empty if None.
        """
        if self.pinned or not self._has_choice(target):
            return None
        choice = self._choose(options, target)
        return self.client_formula if choice.prefer_here(params) else None

    def weigh(self, inputs: Inputs, options: SearchOptions) -> Estimate | None:
        """What it costs in Qdrant and here, with the payload indexes that there are; None where there is no choice."""
        if not self._has_choice(target := inputs.target):
            return None
        found = self._estimate(options, target, self._extent(target), indexed=False)
        return replace(self._choose(options, target), estimate=found).weigh(inputs.params)

    def weigh_places(self, inputs: Inputs, options: SearchOptions) -> str:
        if (found := self.weigh(inputs, options)) is None:
            return ""
        if self.pinned:
            return f"in Qdrant, as .on_server() says: the formula takes {found}"
        if self.find_client_formula(options, inputs.target, inputs.params) is not None:
            return f"here by itself (.on_server() would keep it in Qdrant): the formula takes {found}"
        choice = self._choose(options, inputs.target)
        why = choice.why if choice.weigh(inputs.params).is_better_here else ""
        return f"in Qdrant: the formula takes {found}" + (f". {why}" if why else "")

    def _has_choice(self, target: Target) -> bool:
        """Whether it is for a server, and not for Qdrant alone to compute."""
        return target.capabilities.engine == "server" and bool(self.candidates) and self.is_computable and not self._is_too_deep

    def _choose(self, options: SearchOptions, target: Target) -> _Choice:
        return self._latest_choice.get(lambda: self._make_choice(options, target), options, target)

    def _make_choice(self, options: SearchOptions, target: Target) -> _Choice:
        kind = (
            id(target),
            self.whole(options.needed),
            options.group_by is not None,
            _wants_more(options),
            repr(options.with_vectors),
            repr(options.shard_key_selector),
        )
        if (found := self._choices.get(kind)) is None:
            if len(self._choices) >= _CHOICES_KEPT:
                self._choices.clear()
            empty = self._estimate(options, target, self._extent(target))
            growth = {}
            for name in map_names(self.expression):
                one = self._estimate(options, target, self._measured(target, name))
                growth[name] = replace(one, in_qdrant=one.in_qdrant - empty.in_qdrant, here=one.here - empty.here)
            found = self._choices[kind] = _Choice(self, options, target, empty, growth)
        return found

    @cached_property
    def _latest_choice(self) -> Latest[_Choice]:
        return Latest()

    @cached_property
    def client_formula(self) -> _FasterOnClient:
        """What computes it on the client where nobody asks for that, as it is far faster."""
        return _FasterOnClient(self)

    @cached_property
    def _choices(self) -> dict[tuple[Any, ...], _Choice]:
        """By target and kind of call: to estimate takes longer than to ask for a few points."""
        return {}

    def _estimate(self, options: SearchOptions, target: Target, size: Extent, indexed: bool = True) -> Estimate:
        """What it costs in Qdrant and here.

        Args:
            options: what the call asks for.
            target: the collection.
            size: how large it is once compiled.
            indexed: whether to reckon as if no payload index were missing, since another warning names those that are.
        """
        schema, vectors = target.schema, options.with_vectors
        asked = (schema.vectors if vectors is True else vectors) or ()
        numbers = [_numbers_of(schema.vectors[name]) for name in asked if name in schema.vectors]
        return estimate(
            size,
            *self._nodes,
            self.whole(options.needed) * schema.shards_of(options.shard_key_selector),
            len(self.keys),
            0 if indexed else sum(key not in schema.indexes for key in self.keys),
            _wants_more(options),
            sum(numbers),
        )

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        faster = self.find_client_formula(options, target, query.params)
        return super().flow(query, options, target) if faster is None else faster.flow(query, options, target)

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        faster = self.find_client_formula(options, target, query.params)
        return (
            yield from super().explain(query, options, target) if faster is None else faster.explain(query, options, target)
        )

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        faster = self.find_client_formula(options, inputs.target, inputs.params)
        yield from super().first_requests(inputs, options) if faster is None else faster.first_requests(inputs, options)

    @cached_property
    def keys(self) -> list[str]:
        """The payload keys that the expression reads, those among them that it asks only whether there is something."""
        read = [key.key for key in payload_keys(self.expression)]
        return list(dict.fromkeys([*read, *keys_in(models.Filter.model_construct(must=list(conditions(self.expression))))]))

    @cached_property
    def _is_too_deep(self) -> bool:
        return depth(self.expression) > DEEPEST

    @cached_property
    def _nodes(self) -> tuple[int, int]:
        return count_nodes(self.expression)

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

    def _measured(self, target: Target, filled: str | None = None) -> Extent:
        """How large it is, with all maps empty, or with one entry in that one."""
        params = placeholder_params(self.expression) | ({} if filled is None else {filled: {_CATEGORY: 0.1}})
        try:
            query = self.query(Inputs(target, {}, params), 1)
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
        return Summands(self.expression, self.candidates, points, found, inputs)

    @property
    def is_computable(self) -> bool:
        return self._is_computable

    @cached_property
    def _is_computable(self) -> bool:
        return next(qdrant_only_parts(self.expression), None) is None

    def compute_scores(self, found: Sequence[Sequence[Scored]], table: Table, schema: Schema) -> Column:
        return compute(self.expression, replace(table, scores=scores_by_candidate(self.candidates, table.ids, found, schema)))

    def _own_arguments(self) -> Iterator[str]:
        yield repr(self.expression)

    def __repr__(self) -> str:
        return f"{super().__repr__()}{'.on_server()' if self.pinned else ''}"


def _wants_more(options: SearchOptions) -> bool:
    """Whether a call asks for payload that can't be told beforehand."""
    return options.with_payload is True or isinstance(options.with_payload, models.PayloadSelectorExclude)


def _numbers_of(vector: VectorInfo) -> int:
    """How many numbers a vector has, give or take."""
    return (vector.size or _TOKENS) * (_TOKENS if vector.kind == "multi" else 1)


@dataclass(frozen=True)
class _Choice:
    """Where a formula can be computed for one kind of call, and what it takes.

    Attributes:
        formula: the formula.
        options: what the call asks for.
        target: what it is for, which keeps the target's id from being reused.
        estimate: with empty maps of weights.
        growth: by the name of such a map, what each of its entries adds.
    """

    formula: Formula
    options: SearchOptions
    target: Target
    estimate: Estimate
    growth: Mapping[str, Estimate]

    def weigh(self, params: Mapping[str, Any]) -> Estimate:
        """The estimate for one query, whose maps have their size."""
        found = self.estimate
        for name, entry in self.growth.items():
            if isinstance(given := params.get(name), Mapping):
                there, here = len(given) * entry.in_qdrant, len(given) * entry.here
                found = replace(found, in_qdrant=found.in_qdrant + there, here=found.here + here)
        return found

    def prefer_here(self, params: Mapping[str, Any] | None) -> bool:
        """Whether a query is better off with the formula computed here."""
        return self._decision if not self.growth or not params else self.weigh(params).is_far_better_here and not self.why

    @cached_property
    def _decision(self) -> bool:
        return self.estimate.is_far_better_here and not self.why

    @cached_property
    def why(self) -> str:
        """Why it isn't computed here, whatever that takes; "" if it may be."""
        return next(self._obstacles(), "")

    def _obstacles(self) -> Iterator[str]:
        """Why a call gets something else if the formula is computed here."""
        if self.options.group_by is not None:
            yield "Only Qdrant makes groups of its results"
        client_formula = self.formula.client_formula
        if problem := client_formula.obstacle(self.target):
            yield f"{_NOT_HERE} {problem}"
        inputs = Inputs(self.target, *client_formula.stand_ins(self.target.schema))
        requests = list(client_formula.first_requests(inputs, self.options))
        for problem in (*request_limits(requests), *strict_limits(requests, self.target.schema)):
            yield f"{_NOT_HERE} {problem}"


class UnsentFormula(Formula):
    """The formula of a `ClientFormula`, as one of its stages: it isn't sent, so that Qdrant's limits don't count."""

    def own_problems(self, target: Target) -> Iterator[str]:
        yield from self.find_reading_problems(target)
        if self._is_too_deep:
            yield f"the formula is {depth(self.expression)} levels deep, and at most {DEEPEST} are possible: nest less"
        for node in qdrant_only_parts(self.expression):
            yield f"{brief(node)} can be computed by Qdrant only, and this formula is computed on the client"
        for node in walk(self.expression):
            if (
                isinstance(node, When)
                and not asks_qdrant(node.condition)
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
        given = Formula.of(self.formula, "on the client runs")
        object.__setattr__(self, "formula", replace(given, pinned=False) if given.pinned else given)
        if self.formula.limit is not None:
            raise StrategyError(
                f"limit={self.formula.limit} of a formula on the client has no effect: set the candidates' limits; how many "
                "points are returned, the call says"
            )

    @property
    def takes_search_params(self) -> bool:
        return False

    @cached_property
    def _unsent(self) -> UnsentFormula:
        return UnsentFormula(**{attribute.name: getattr(self.formula, attribute.name) for attribute in fields(Formula)})

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

    def on_server(self) -> Formula:
        """The formula, computed in Qdrant in any case."""
        return self.formula.on_server()

    def needs(self) -> frozenset[str]:
        return self.formula.needs()

    def weigh_places(self, inputs: Inputs, options: SearchOptions) -> str:
        found = self.formula.weigh(inputs, options)
        return "here, as .on_client() says" + ("" if found is None else f": the formula takes {found}")

    def resolve(self, schema: Schema) -> Self:
        return replace(self, formula=self.formula.resolve(schema))

    def stages(self) -> Iterator[Stage]:
        yield from self._unsent.stages()

    def warnings(self, target: Target) -> Iterator[Lint]:
        yield from self._unsent.own_warnings(target)
        for candidate in self.formula.candidates:
            yield from candidate.inner_warnings(target)

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        told = [lint for candidate in self.formula.candidates for lint in shard_warnings_alone(candidate, schema)]
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
        payload = with_keys(options.with_payload, self.formula.keys)
        asked = replace(options, offset=None, score_threshold=None, search_params=None, with_payload=payload)
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
        found = yield from self._find(inputs, options)
        return self._best(found, inputs, options), found, inputs

    def _best(self, found: Sequence[Points], inputs: Inputs, options: SearchOptions) -> Points:
        """The results, of what each candidate stage found."""
        points = list({point.id: point for answer in reversed(found) for point in answer}.values())
        threshold = self.formula.score_threshold if options.score_threshold is None else options.score_threshold
        table = candidate_table(self.formula.candidates, points, found, inputs)
        return rank_points(self.expression, points, table, options, threshold)

    def _find(self, inputs: Inputs, options: SearchOptions) -> Flow[list[Points]]:
        """What each candidate stage finds in the collection."""
        candidates = yield from together(
            [candidate.over_collection(inputs, options) for candidate in self._candidates(options)]
        )
        return (yield from search(lambda: list(self._requests(candidates, inputs, options)), options, inputs.target))

    def __repr__(self) -> str:
        return f"{self.formula!r}.on_client()"


class _FasterOnClient(ClientFormula):
    """A formula that is computed here because that is far faster: over what it would have in Qdrant, shard by shard."""

    def __post_init__(self) -> None:
        """Nothing is checked: the formula comes from a strategy that was."""

    def obstacle(self, target: Target) -> str:
        """Why it can't be for any call on `target`; "" if it can."""
        return self._latest_obstacle.get(lambda: next(self._obstacles(target), ""), target)

    @cached_property
    def _latest_obstacle(self) -> Latest[str]:
        return Latest()

    def _obstacles(self, target: Target) -> Iterator[str]:
        for key in payload_keys(self.expression):
            if not key.has_default:
                yield f"{key.key!r} is read without a default, and Qdrant may never come to read it"
        yield from self.problems(target)

    def _candidates(self, options: SearchOptions) -> list[Stage]:
        return self.formula.below(options)[: len(self.formula.candidates)]

    def _requests(self, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        seen = [self.formula.candidate_search(number, each, inputs, options) for number, each in enumerate(candidates)]
        yield from super()._requests(seen, inputs, options)

    def _find(self, inputs: Inputs, options: SearchOptions) -> Flow[list[Points]]:
        return (yield from self._find_below(self._candidates(options), inputs, options))

    def _find_below(self, stages: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Flow[list[Points]]:
        """What each of these stages finds below the formula."""
        found = yield from search(lambda: list(self._requests(stages, inputs, options)), options, inputs.target)
        return self.formula.candidate_points(stages, found, inputs, options)

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        """As the formula in Qdrant is explained: with what all stages below it find, searched beside each other."""
        whole = replace(options, with_payload=True)
        inputs = yield from embed_query(query, self.needs(), target)
        stages = self.formula.below(options)
        found = yield from self._find_below(stages, inputs, whole)
        points = self._best(found[: len(self.formula.candidates)], inputs, whole)
        reasons = yield from self.formula.reasons(points, stages, found, inputs, options)
        return Explained(trim(points, options), reasons)

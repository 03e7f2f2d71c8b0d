"""Candidates scored by an expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

from qdrant_client import models

from ..capabilities import AbilityName, Capabilities
from ..errors import FormatError, Lint, StrategyError
from ..expressions.inspect import candidate_scores, depth, fixed_nodes, payload_keys, placeholder_params, reads_model, walk
from ..expressions.lowering import MODEL_ELSEWHERE, Candidate, Lowering, lower, score_index, token_count
from ..expressions.nodes import Expression, ExpressionLike, QueryTokens, as_expression
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
from ..query import Inputs, Target, query_token_counts
from ..sampling import drift_warnings, field_problems
from ..schema import Schema
from ..strategies import Stage, Strategy
from ..trained import Trained
from ..values import brief

if TYPE_CHECKING:
    from ..client_formula import ClientFormula

__all__ = ["DEEPEST", "Formula"]

DEEPEST = 150  # far beyond what a server takes, and within what Python's own recursion can compile


@dataclass
class _Memory:
    """What was compiled for one server and one list of candidates: all of it, or the parts that no query changes."""

    query: models.FormulaQuery | None = None
    compiled: dict[int, models.Expression] = dataclass_field(default_factory=dict[int, models.Expression])
    defaults: dict[str, float] = dataclass_field(default_factory=dict[str, float])
    extent: Extent | None = None


@dataclass(frozen=True, repr=False)
class Formula(Stage):
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
        from ..serialise import load  # which knows all stages

        found = load(path)
        if not isinstance(found, Formula):
            raise FormatError(f"{_instead(found)}: qdrant_rerank.load(path) loads any strategy", path)
        return found if checked else found.unchecked()

    def unchecked(self) -> Formula:
        """This formula without what it was trained on: plans take any collection for it, and say nothing of drift."""
        return replace(self, trained=None)

    def _check_scores(self, candidates: tuple[Stage, ...]) -> None:
        named = [Candidate(stage.title) for stage in candidates]
        for score in candidate_scores(self.expression):
            score_index(score, named)

    def _check_tokens(self, target: Target) -> None:
        tokens = self._tokens(Inputs(target))
        for node in walk(self.expression):
            if isinstance(node, QueryTokens):
                token_count(node, tokens)

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        target = inputs.target
        candidates = self.as_candidates(target.schema)
        memory = self._memory(candidates, target)
        if memory.query is not None:
            return memory.query
        lowering = Lowering(
            candidates,
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

    def as_candidates(self, schema: Schema) -> tuple[Candidate, ...]:
        """The candidate stages as the expression sees them."""
        return tuple(Candidate(stage.title, stage.is_distance(schema)) for stage in self.candidates)

    def __getstate__(self) -> dict[str, Any]:
        """What makes the formula, without what was compiled: that is kept by the `id` of nodes, which copies don't share."""
        return {attribute.name: getattr(self, attribute.name) for attribute in fields(self)}

    def _memory(self, candidates: tuple[Candidate, ...], target: Target) -> _Memory:
        return self._memories.setdefault((candidates, target.capabilities, target.thorough), _Memory())

    @cached_property
    def _memories(self) -> dict[tuple[tuple[Candidate, ...], Capabilities, bool], _Memory]:
        """Compiled formulas: compiling a learned one takes longer than the query, and most of it never changes."""
        return {}

    @cached_property
    def _fixed_nodes(self) -> dict[int, Expression]:
        return fixed_nodes(self.expression)

    @property
    def own_request_time(self) -> frozenset[str]:
        return self._request_time

    @cached_property
    def _request_time(self) -> frozenset[str]:
        return frozenset(placeholder_params(self.expression))

    @property
    def grouped_here(self) -> bool:
        return any(candidate.grouped_here for candidate in self.candidates)

    def on_client(self) -> ClientFormula:
        """This formula, computed here over the candidates that Qdrant finds: for models too large for a request."""
        from ..client_formula import ClientFormula  # which is made of formulas

        return ClientFormula(self)

    def reading_problems(self, target: Target) -> Iterator[str]:
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
        yield from self.reading_problems(target)
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

    def _extent(self, target: Target) -> Extent:
        """How large the formula is once compiled, measured once; request-time values don't change that much."""
        memory = self._memory(self.as_candidates(target.schema), target)
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

    def own_features(self) -> Iterator[AbilityName]:
        yield "formula"
        if self.score_threshold is not None:
            yield "formula_score_threshold"

    def _own_arguments(self) -> Iterator[str]:
        yield repr(self.expression)


def _instead(found: Strategy) -> str:
    """What a file holds that should hold a formula; without its `repr`, which may have megabytes."""
    if type(found).__name__ == "ClientFormula":
        return "holds a formula that is computed on the client (.on_client()), which is a strategy of its own"
    return f"holds no formula but a {type(found).__name__}"

"""What a strategy is: one query → ranked points, as a frozen value without I/O; and what all stages have in common.

`Strategy` is anything with a `flow`. `Stage` is a strategy that Qdrant runs alone; stages nest by `.over(...)` into one
request. The kinds of stages are in `stages/`. All that is asked of a kind is a method or an attribute here, with a default, so
that a kind of one's own can do what ours can; nothing else asks which kind a strategy is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import is_
from typing import Any, ClassVar, Final, Generic, Literal, Self, TypeAlias, TypeVar

from qdrant_client import models

from .capabilities import AbilityName
from .errors import Lint, StrategyError
from .explain.results import Account, CandidateHit, Column, Explained, Found, ResultReason, Scored, Term
from .expressions.build import when
from .expressions.evaluation import Table
from .expressions.inspect import PayloadKey, conditions, payload_keys
from .expressions.nodes import Expression
from .formula_limits import filter_problems
from .points import group, settle, trim, widen, with_keys
from .query import Inputs, Query, SearchOptions, Target, both, embed_query, not_a_filter, seal
from .schema import Schema, VectorInfo
from .search import search
from .steps import Flow, Points, QueryVector, Request, Vectors
from .values import LARGEST, brief, is_finite, is_whole, literal

T = TypeVar("T")

CANDIDATES: Final = 100
"""How many points a candidate stage fetches when its `limit` isn't set (Qdrant's own default is the root's limit,
which leaves a rescoring nothing to choose from)."""

ModelUse: TypeAlias = Literal["none", "rank", "steer"]
"""What a model's scores do to the results: nothing, rank them, or steer a further search."""


@dataclass(frozen=True)
class Cost:
    """What one query costs: requests to Qdrant, and texts that a reranker reads."""

    round_trips: int = 1
    reads: int = 0


class Latest(Generic[T]):
    """Keeps what was made last, as calls mostly bring the same objects as the call before. Copies and pickles start empty."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], T] | None = None

    def get(self, make: Callable[[], T], *made_of: object) -> T:
        """What was made last if it was made of these very objects, else what `make` returns."""
        kept = self._kept
        if kept is None or not all(map(is_, kept[0], made_of)):
            kept = self._kept = made_of, make()
        return kept[1]

    def __reduce__(self) -> tuple[type[Latest[T]], tuple[()]]:
        return type(self), ()


KINDS: Final[dict[str, type[Strategy]]] = {}
"""The kinds of strategies that have a JSON form, by the name that they have there, of the modules that are loaded."""


class Strategy(ABC):
    """A way to turn one query into ranked points: a frozen, serialisable value.

    A dataclass that is declared with `kind="…"` has a JSON form under that name.

    Laws (tested): `eval(repr(s)) == s`; `from_json(to_json(s)) == s`; `flow` is pure between its steps.
    """

    kind: ClassVar[str | None] = None
    """What it is called in JSON; None if it has no JSON form."""

    ranks_by_score: ClassVar[bool] = True
    """Whether its results are in the order of their scores, so that those of equal score may be reordered."""

    fetches_payload: ClassVar[bool] = False
    """Whether it fetches by itself what it reads of the payload, whatever of it a call asks for."""

    model_use: ClassVar[ModelUse] = "none"
    """What a model's scores do to its results."""

    def __init_subclass__(cls, kind: str | None = None) -> None:
        super().__init_subclass__()
        cls.kind = kind
        if kind is not None:
            KINDS[kind] = cls

    # What every kind says

    @property
    def calibrated(self) -> bool:
        """Whether its scores are probabilities of relevance, by a calibration."""
        return False

    @abstractmethod
    def needs(self) -> frozenset[str]:
        """The names of the vectors that the query must be embedded for (of a resolved strategy)."""

    @abstractmethod
    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        """The steps from query to points."""

    @abstractmethod
    def resolve(self, schema: Schema) -> Self:
        """This strategy with the names of vectors that it leaves open filled in from the schema."""

    @abstractmethod
    def stages(self) -> Iterator[Stage]:
        """Every stage in it, outermost first."""

    # What a plan asks, which checks a strategy against a collection and a server

    @property
    def cost(self) -> Cost:
        """What one query costs."""
        return Cost()

    def problems(self, target: Target) -> Iterator[str]:
        """Why this strategy can't run on `target`."""
        for stage in self.stages():
            yield from stage.own_problems(target)
            if stage.filter is not None:
                yield from filter_problems(stage.filter, target.schema)

    def warnings(self, target: Target) -> Iterator[Lint]:
        """What will work on `target`, but not as it seems."""
        for stage in self.stages():
            yield from stage.own_warnings(target)

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        """Why it can't do what a call asks for."""
        yield from ()

    def options_warnings(self, options: SearchOptions, target: Target) -> Iterator[Lint]:
        """What of a call's options will work, but not as it seems."""
        yield from ()

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        """What changes with the number of shards that a call searches, which `schema` says."""
        yield from ()

    def shard_round_trips(self, schema: Schema) -> int:
        """The round trips that a query takes beyond its `cost` where several shards are searched, which `schema` says."""
        return 0

    def is_distance(self, schema: Schema) -> bool:
        """Whether its results are scored by distance, lower being better.

        Only searches by a vector are. A kind that hands on another strategy's results, with their scores, turns distances
        around or says so here.
        """
        return False

    @property
    def takes_search_params(self) -> bool:
        """Whether a call's search params have an effect: they are for the final stage, as far as it searches."""
        return True

    def abilities(self) -> frozenset[AbilityName]:
        """What the server must be able to do."""
        return frozenset(ability for stage in self.stages() for ability in stage.own_abilities())

    def options_abilities(self, options: SearchOptions) -> Iterator[AbilityName]:
        """What the server must be able to do for what a call asks for, beyond `abilities`."""
        if options.group_by is not None:
            yield "groups"

    def expressions_as_written(self) -> Iterator[Expression]:
        """The expressions that somebody wrote; those that were learned are checked by what they were learned from."""
        for stage in self.stages():
            yield from stage.own_expressions_as_written()

    def params(self) -> Mapping[str, Any]:
        """The request-time values that it reads, each with a stand-in to show requests before there is a query."""
        return {name: value for stage in self.stages() for name, value in stage.own_params.items()}

    def look(self, target: Target, options: SearchOptions) -> Flow[Target]:
        """`target` with what a plan has to know of the collection's points; no step where that is nothing, or known already."""
        for stage in self.stages():
            target = yield from stage.look_alone(target, options)
        return target

    # What a plan's description shows

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        """The requests that are known before anything was found."""
        yield from ()

    def later_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        """The requests of a second round, as they will look: what isn't known yet is shown by stand-ins."""
        yield from ()

    def weigh_places(self, inputs: Inputs, options: SearchOptions) -> str:
        """Where scores are computed that could be computed elsewhere, and what that takes; "" where there is no choice."""
        return ""

    @property
    def summary(self) -> str:
        """Its `repr` for people: long parts in short, as `abbreviations` says."""
        text = repr(self)
        for whole, short in self.abbreviations():
            text = text.replace(whole, short)
        return text

    def abbreviations(self) -> Iterator[tuple[str, str]]:
        """Long parts of its `repr`, each with what stands for it in the summary."""
        for stage in self.stages():
            yield from stage.own_abbreviations()

    def stand_ins(self, schema: Schema) -> tuple[Vectors, Mapping[str, Any]]:
        """Zero vectors and request-time values, to show requests before there is a query."""
        return {name: _zeros(schema.vectors[name]) for name in self.needs()}, self.params()

    # What is asked of results

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        """The steps from query to points with the reason for each.

        Raises:
            StrategyError: its results, or groups of them, can't be explained.
        """
        yield from ()
        raise StrategyError(
            "only strategies that Qdrant runs alone, and kinds with an `explain` of their own, can be explained result by "
            f"result, not {brief(self)}"
        )

    # What measuring and tuning ask

    @property
    def first_search(self) -> Strategy:
        """The search whose results a model reads; the strategy itself where none does."""
        return self

    def candidate_options(self, options: SearchOptions, target: Target | None = None) -> SearchOptions:
        """What the first search is asked for, where a model ranks its results; `target` may save payload."""
        return options

    def rank(self, points: Points, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        """The results, of what the first search found, where a model ranks them; others are found as they are."""
        yield from ()
        return points

    @property
    def scoring_stage(self) -> Stage | None:
        """The stage whose scores its results have, wherever they are computed; None if there is none."""
        return None

    def fill_limits(self, limit: int) -> str:
        """Its text with all limits written out, for a call that asks for `limit`: equal for strategies that do the same."""
        return repr(self)

    def uncheck(self) -> Self:
        """This strategy without what keeps learned numbers from collections and models that they weren't learned for."""
        return self


@dataclass(frozen=True, kw_only=True, repr=False)
class Stage(Strategy):
    """A strategy that Qdrant runs by itself, in one request; stages nest.

    Args:
        candidates: the stages whose points this one ranks; set by `.over(...)`.
        limit: how many points it hands on as a candidate; 100 if None. The outermost stage returns what the call asks.
        filter: only points that meet it; AND-ed with the call's filter.
        score_threshold: only points that reach it.
        search_params: HNSW and quantisation parameters of its search.
        name: what `score(name)` calls it in a formula above; the vector's name if None.
    """

    fetches_payload: ClassVar[bool] = True

    is_steered: ClassVar[bool] = False
    """Whether it is the search that relevance feedback steers."""

    once_per_collection: ClassVar[bool] = False
    """Whether the stage ranks points by each other, so that it makes a difference that nested stages run per shard."""

    joins_shards: ClassVar[bool] = False
    """Whether it gives the same on any number of shards as the outermost stage over plain searches, whose points Qdrant then
    puts together first."""

    cuts_pages_short: ClassVar[bool] = False
    """Whether Qdrant takes an offset from the `limit` points that the stage ranks, so that pages are cut here."""

    candidates: tuple[Stage, ...] = ()
    limit: int | None = None
    filter: models.Filter | None = None
    score_threshold: float | None = None
    search_params: models.SearchParams | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for candidate in self.candidates:
            if not isinstance(candidate, Stage):
                if isinstance(candidate, list | tuple):
                    raise StrategyError(f"{brief(candidate)} can't be a candidate of {kind}: spread a list with .over(*stages)")
                raise StrategyError(
                    f"{brief(candidate)} can't be a candidate of {kind}: only what Qdrant runs by itself can; "
                    "put strategies that call a model outermost"
                )
        if self.limit is not None and not is_whole(self.limit, 1):
            raise StrategyError(f"the limit of {kind} must be a whole number of at least 1, got {self.limit!r}")
        if self.limit is not None and self.limit > LARGEST:
            raise StrategyError(f"the limit of {kind} must be at most {LARGEST:,}, got {self.limit:,}")
        if self.filter is not None and not isinstance(self.filter, models.Filter):
            raise StrategyError(f"{kind}: {not_a_filter(self.filter)}")
        if self.score_threshold is not None and not is_finite(self.score_threshold):
            raise StrategyError(f"the score_threshold of {kind} must be a finite number, got {self.score_threshold!r}")
        if self.search_params is not None and not isinstance(self.search_params, models.SearchParams):
            raise StrategyError(
                f"the search_params of {kind} must be a qdrant_client.models.SearchParams, got {self.search_params!r}"
            )
        if self.name is not None and not isinstance(self.name, str):
            raise StrategyError(f"the name of {kind} must be text, got {self.name!r}")

    def over(self, *candidates: Stage) -> Self:
        """This stage, run over the points that those stages find."""
        if not candidates:
            raise StrategyError(f"{type(self).__name__}.over() needs at least one stage to run over")
        return replace(self, candidates=candidates)

    # What a kind of stage says of itself, apart from its candidates

    @abstractmethod
    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        """What this stage asks Qdrant to do, to return `limit` points."""

    @property
    def vector(self) -> str | None:
        """The vector that this stage compares; None if it compares none."""
        return None

    @property
    def title(self) -> str | None:
        """The name that `score(name)` finds it by."""
        return self.name

    def is_distance(self, schema: Schema) -> bool:
        """Whether it scores by distance, which fusions and formulas turn around."""
        info = None if self.vector is None else schema.vectors.get(self.vector)
        return info is not None and info.is_distance

    @property
    def takes_search_params(self) -> bool:
        return self.vector is not None or not self.candidates

    def own_expressions(self) -> Iterator[Expression]:
        """What Qdrant computes for each of its candidates."""
        yield from ()

    def own_expressions_as_written(self) -> Iterator[Expression]:
        """As `expressions_as_written`, for this stage apart from its candidates."""
        yield from ()

    @property
    def own_params(self) -> Mapping[str, Any]:
        """The request-time values that it reads, each with a stand-in."""
        return {}

    def own_abilities(self) -> Iterator[AbilityName]:
        """What the server must be able to do for it."""
        yield "query"

    def own_abbreviations(self) -> Iterator[tuple[str, str]]:
        """Long parts of its `repr`, each with what stands for it in a summary."""
        yield from ()

    def own_problems(self, target: Target) -> Iterator[str]:
        """Why it can't run on `target`."""
        yield from ()

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        """What in it will work, but not as it seems."""
        yield from ()

    def inner_problems(self, target: Target) -> Iterator[str]:
        """Why it can't run on `target`, with its candidates, where something else than a call asks for it."""
        yield from Strategy.problems(self, target)

    def inner_warnings(self, target: Target) -> Iterator[Lint]:
        """The same of it and its candidates, where something else than a call asks for it."""
        yield from Strategy.warnings(self, target)

    def look_alone(self, target: Target, options: SearchOptions) -> Flow[Target]:
        """As `look`."""
        yield from ()
        return target

    @property
    def grouped_here(self) -> bool:
        """Whether groups of its ranking are made here, as its scores depend on what else is ranked (see `points.py`)."""
        return self.once_per_collection

    def own_keys(self) -> Iterator[PayloadKey]:
        """The payload keys that Qdrant reads for it, its filter's among them."""
        for expression in self.own_expressions():
            yield from payload_keys(expression)
        if self.filter is not None:
            yield from payload_keys(when(self.filter))

    def own_conditions(self) -> Iterator[models.Condition]:
        """The conditions that Qdrant decides for it, its filter among them."""
        for expression in self.own_expressions():
            yield from conditions(expression)
        if self.filter is not None:
            yield self.filter

    is_search: ClassVar[bool] = False
    """Whether, without candidates, it is a plain search by a vector: the best of a deeper search are those of this one."""

    @property
    def is_computable(self) -> bool:
        """Whether its ranking can be computed here from what its candidates find."""
        return False

    def compute_scores(self, found: Sequence[Sequence[Scored]], table: Table, schema: Schema) -> Column:
        """The scores that it gives the points of `table`, computed here; only if it `is_computable`.

        Args:
            found: what each candidate found, best first.
            table: the points that any of them found, and what the query brings; without scores.
            schema: the collection's.
        """
        raise StrategyError(f"only Qdrant can compute the scores of {brief(self)}")

    # What follows for it and its candidates

    def warnings(self, target: Target) -> Iterator[Lint]:
        yield from self.own_warnings(target)
        for candidate in self.candidates:
            yield from candidate.inner_warnings(target)

    def needs(self) -> frozenset[str]:
        return self._needs

    @cached_property
    def _needs(self) -> frozenset[str]:
        return frozenset(stage.vector for stage in self.stages() if stage.vector is not None)

    def stages(self) -> Iterator[Stage]:
        yield self
        for candidate in self.candidates:
            yield from candidate.stages()

    def resolve(self, schema: Schema) -> Self:
        return replace(self, candidates=tuple(stage.resolve(schema) for stage in self.candidates))

    @property
    def scoring_stage(self) -> Stage | None:
        return self

    def place(self, using: str | None) -> Stage:
        """This stage with the search that relevance feedback steers told which vector it compares."""
        candidates = tuple(candidate.place(using) for candidate in self.candidates)
        return self if candidates == self.candidates else replace(self, candidates=candidates)

    def uncheck(self) -> Self:
        candidates = tuple(candidate.uncheck() for candidate in self.candidates)
        unchanged = all(one is other for one, other in zip(candidates, self.candidates, strict=True))
        return self if unchanged else replace(self, candidates=candidates)

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        yield from self.shortfalls(options.reach, "the call asks for", options.needed)

    def options_abilities(self, options: SearchOptions) -> Iterator[AbilityName]:
        if not self.grouped_here:
            yield from super().options_abilities(options)

    def options_warnings(self, options: SearchOptions, target: Target) -> Iterator[Lint]:
        if options.group_by is not None and self.grouped_here:
            yield Lint(
                "grouped-here",
                f"groups by {options.group_by!r} are made here of the ranking of {brief(self)}, up to "
                f"{self.whole(options.hits)} points: Qdrant's own group query would rank anew for each round of groups; "
                "candidates decide how many there can be",
            )
        if self.limit is not None:
            text = f"limit={self.limit} of the outermost stage has no effect: the call's limit ({options.limit}) decides"
            yield Lint("limit-ignored", text)

    # How many points it ranks, hands on, and needs from its candidates

    def shortfalls(self, needed: int, who: str, page: int | None = None) -> Iterator[str]:
        """Stages, from this one down, whose candidates hand on fewer points than the stage is to rank; `needed` for this one.

        `who` asks for them, in messages, e.g. "the call asks for". Candidates without a limit go by `page`, else by `needed`.
        """
        page = needed if page is None else page
        together = sum(candidate.reach(page) for candidate in self.candidates)
        if self.candidates and together < needed:
            listed = ", ".join(brief(candidate) for candidate in self.candidates)
            yield (
                f"{who} {needed} points, but the candidates of {type(self).__name__} hand on {together}: "
                f"raise the limit of {listed} to {needed} or more, or ask for fewer"
            )
        for candidate in self.candidates:
            yield from candidate.shortfalls(candidate.needs_points(page), f"{type(candidate).__name__} is to hand on")

    def needs_points(self, needed: int) -> int:
        """How many points this stage's candidates must find, if the stage above ranks `needed`."""
        return self.limit if self.limit is not None else needed

    def reach(self, needed: int) -> int:
        """How many points this stage hands to one that ranks `needed`: its limit, else all that it has, else 100."""
        if self.limit is not None:
            return self.limit
        found = sum(candidate.reach(needed) for candidate in self.candidates)
        return max(needed, found or CANDIDATES)

    def whole(self, needed: int) -> int:
        """How many points its ranking can hold, if it is to rank `needed`: all that its candidates hand on."""
        return sum(candidate.reach(needed) for candidate in self.candidates) or needed

    def holds_all(self, found: int, needed: int) -> bool:
        """Whether a ranking of `found` points holds all that there are: some candidate stage found fewer than it hands on."""
        return found < max((candidate.reach(needed) for candidate in self.candidates), default=needed)

    def fill_limits(self, limit: int) -> str:
        return repr(self._fill_limits(limit))

    def _fill_limits(self, needed: int, root: bool = True) -> Stage:
        inner = needed if root else self.needs_points(needed)
        candidates = tuple(candidate._fill_limits(inner, root=False) for candidate in self.candidates)
        return replace(self, limit=None if root else self.reach(needed), candidates=candidates)

    # Its request

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        inputs = yield from embed_query(query, self._needs, target)
        wide = self.widen(options)
        root = yield from self.outermost(inputs, wide)
        [points] = yield from search(lambda: [root.request(inputs, wide)], options, target)
        return self.cut(points, options)

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield self.request(inputs, self.widen(options))

    def request(self, inputs: Inputs, options: SearchOptions) -> Request:
        """The request for this stage and all its candidates; pure."""
        if not inputs.target.capabilities.pushes_filters:
            inputs = replace(inputs, leaf_filter=both(self.filter, options.filter))
        bare = self._latest_request.get(lambda: self._request_parts(options), options)
        only, needed = both(self.filter, options.filter), options.needed
        request: Request = bare.model_copy(update=self._clauses(inputs, needed, needed, only))
        return request

    def _request_parts(self, options: SearchOptions) -> Request:
        """What of the request no query changes; made once, as most calls bring the same options."""
        parts: dict[str, Any] = {
            "using": self.vector or None,  # the unnamed vector is not named on the wire
            "score_threshold": self.score_threshold if options.score_threshold is None else options.score_threshold,
            "params": options.search_params or self.search_params,
            "shard_key": options.shard_key_selector,
            "limit": options.limit,
            "with_payload": options.with_payload,
            "with_vector": options.with_vectors or None,
        }
        if options.group_by is not None:
            return models.QueryGroupsRequest(**parts, group_by=options.group_by, group_size=options.group_size)
        return models.QueryRequest.model_construct(**parts, offset=options.offset or None)

    def prefetch(self, inputs: Inputs, needed: int) -> models.Prefetch:
        """This stage as a candidate of one that ranks `needed` points; pure."""
        own = self.filter
        if not inputs.target.capabilities.pushes_filters:
            own = both(self.filter, inputs.leaf_filter)
            inputs = replace(inputs, leaf_filter=own)
        if (known := self._prefetches.get(needed)) is None:
            self._prefetches.clear()
            known = self._prefetches[needed] = self._prefetch_parts(needed)
        bare, limit, inner = known
        prefetch: models.Prefetch = bare.model_copy(update=self._clauses(inputs, limit, inner, own))
        return prefetch

    def _clauses(self, inputs: Inputs, limit: int, needed: int, only: models.Filter | None) -> dict[str, Any]:
        """What a query may change. Not validated, which would copy every vector once more: it is checked or made here."""
        below = [stage.prefetch(inputs, needed) for stage in self.candidates] if self.candidates else None
        return {"query": self.query(inputs, limit), "prefetch": below, "filter": None if only is None else seal(only)}

    def _prefetch_parts(self, needed: int) -> tuple[models.Prefetch, int, int]:
        """What of the prefetch no query changes; how many points it hands on, and how many those below it are to find."""
        parts: dict[str, Any] = {"score_threshold": self.score_threshold, "params": self.search_params}
        limit = self.reach(needed)
        bare = models.Prefetch.model_construct(using=self.vector or None, **parts, limit=limit)
        return bare, limit, self.needs_points(needed)

    @cached_property
    def _latest_request(self) -> Latest[Request]:
        return Latest()

    @cached_property
    def _prefetches(self) -> dict[int, tuple[models.Prefetch, int, int]]:
        """The last prefetch's parts, by how many points the stage above ranks."""
        return {}

    def widen(self, options: SearchOptions) -> SearchOptions:
        """The options of the request from whose points `cut` makes what a call asks of this outermost stage."""
        if options.group_by is not None and self.grouped_here:
            payload = with_keys(options.with_payload, [options.group_by])
            return replace(options, limit=self.whole(options.hits), group_by=None, with_payload=payload, page=options.hits)
        if options.offset and self.cuts_pages_short:
            return replace(options, limit=options.reach, offset=None, page=options.needed)
        return widen(options) if options.stable_ties else options

    def cut(self, points: Points, options: SearchOptions) -> Points:
        """What `options` asks for, of the points that a search with the widened options found."""
        if options.group_by is not None and self.grouped_here:
            return group(points, options, self.holds_all(len(points), options.hits))
        if options.offset and self.cuts_pages_short:
            return points[options.offset :]
        return settle(points, options) if options.stable_ties else points

    # Its candidates by themselves

    def alone(self, needed: int, above: models.Filter | None) -> Self:
        """This candidate with its limits and all filters above it, so that alone it finds what it finds below its parent.

        The stage above it ranks `needed` points; `above` are the filters of all stages above it.
        """
        inner, own = self.needs_points(needed), both(self.filter, above)
        candidates = tuple(candidate.alone(inner, own) for candidate in self.candidates)
        return replace(self, limit=self.reach(needed), filter=own, candidates=candidates)

    def alone_options(self, options: SearchOptions) -> SearchOptions:
        """The options in which a stage that `alone` made returns all that it hands on."""
        return SearchOptions(
            limit=self.limit or 1, filter=options.filter, shard_key_selector=options.shard_key_selector, with_payload=False
        )

    def below(self, options: SearchOptions) -> list[Stage]:
        """The stages below this outermost one, nearest first, each as it runs alone."""
        alone = [candidate.alone(options.needed, self.filter) for candidate in self.candidates]
        return [*alone, *(stage for candidate in alone for stage in candidate._below())]

    def _below(self) -> Iterator[Stage]:
        yield from self.candidates
        for candidate in self.candidates:
            yield from candidate._below()

    def candidate_requests(self, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        """The requests that show what each stage of `below` finds below this one; `candidate_points` reads their answers."""
        for number, candidate in enumerate(candidates):
            seen = self.candidate_search(number, candidate, inputs, options)
            yield seen.request(inputs, seen.alone_options(options))

    def candidate_search(self, number: int, candidate: Stage, inputs: Inputs, options: SearchOptions) -> Stage:
        """The search that shows what a stage of `below` finds below this one; `candidate_points` reads its answer."""
        times = self._seen_apart(number, candidate, inputs, options)
        return _PerShard(candidates=(candidate,), limit=(candidate.limit or 1) * times) if times else candidate

    def candidate_points(
        self, candidates: Sequence[Stage], answers: Sequence[Points], inputs: Inputs, options: SearchOptions
    ) -> list[Points]:
        """What each candidate finds, by the answers to `candidate_requests`."""
        return [
            [point.model_copy(update={"score": -point.score}) for point in points]  # which _PerShard turned around
            if candidate.is_distance(inputs.target.schema) and self._seen_apart(number, candidate, inputs, options)
            else points
            for number, (candidate, points) in enumerate(zip(candidates, answers, strict=True))
        ]

    def _seen_apart(self, number: int, candidate: Stage, inputs: Inputs, options: SearchOptions) -> int:
        """Of how many shards the points of a candidate are to be seen apart; 0 if it gives the same alone.

        Below a stage each shard has candidates of its own, as many as the limit says.
        """
        shards = inputs.target.schema.shards_of(options.shard_key_selector)
        if shards <= 1 or number >= len(self.candidates) or not inputs.target.capabilities.supports("formula"):
            return 0
        return self.shards_apart(candidate, shards)

    def shards_apart(self, candidate: Stage, shards: int) -> int:
        """Of how many of the shards an explanation of this stage has to see a candidate's points apart; 0 if of none."""
        return 1 if candidate.once_per_collection else 0

    # Explanations

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        """The candidates are searched beside the stage, in one batch; one round trip more where points tie."""
        if options.group_by is not None:
            raise StrategyError("results of a group query can't be explained: leave out group_by")
        inputs = yield from embed_query(query, self.needs(), target)
        candidates = self.below(options)
        whole = replace(self.widen(options), with_payload=True)  # what terms read, whatever of it the call wants to see
        sent = yield from self.outermost(inputs, whole)

        def requests() -> list[Request]:
            return [sent.request(inputs, whole), *self.candidate_requests(candidates, inputs, options)]

        points, *answers = yield from search(requests, options, target)
        points, found = self.cut(points, options), self.candidate_points(candidates, answers, inputs, options)
        reasons = yield from self.reasons(points, candidates, found, inputs, options)
        return Explained(trim(points, options), reasons)

    def reasons(
        self, points: Points, candidates: Sequence[Stage], found: Sequence[Points], inputs: Inputs, options: SearchOptions
    ) -> Flow[tuple[ResultReason, ...]]:
        """Why these results are where they are.

        Args:
            points: the results, best first, with their payload.
            candidates: the stages below this one, as `below` lists them.
            found: what each of them found.
            inputs: what the query is made of.
            options: the call's.
        """
        names = candidate_names(candidates)
        own = [Found(name, p, len(p) == stage.limit) for name, p, stage in zip(names, found, candidates, strict=True)]
        account = self.account(points, own[: len(self.candidates)], inputs)
        if account.is_wrong().any():
            account.mend((yield from self._exact_scores(points, candidates, inputs, options)))
            account.own_up()
        finds = [*account.finds, *({find.id: find for find in each.finds} for each in own[len(self.candidates) :])]
        return tuple(
            ResultReason.of(
                point,
                (options.offset or 0) + row + 1,
                [CandidateHit.of(name, each.get(point.id)) for name, each in zip(names, finds, strict=True)],
                [Term(text, float(values[row])) for text, values in account.terms],
                account.without_terms,
                account.link,
            )
            for row, point in enumerate(points)
        )

    def account(self, points: Points, found: Sequence[Found], inputs: Inputs) -> Account:
        """What adds up to the scores of its results.

        Args:
            points: the results, best first, with their payload.
            found: what each candidate found, searched beside the stage.
            inputs: what the query is made of.
        """
        return Account(points, found)

    def _exact_scores(
        self, points: Points, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions
    ) -> Flow[list[Mapping[Any, float]]]:
        """For each candidate, the score that it gives each of the points; none of those whose scores depend on the rest."""
        these = models.Filter(must=[models.HasIdCondition(has_id=[point.id for point in points])])
        asked = [
            None if each.grouped_here else replace(each, filter=both(each.filter, these), limit=len(points))
            for each in candidates[: len(self.candidates)]
        ]

        def requests() -> list[Request]:
            return [each.request(inputs, each.alone_options(options)) for each in asked if each is not None]

        answers = iter((yield from search(requests, options, inputs.target)) if any(asked) else ())
        return [{} if each is None else {point.id: point.score for point in next(answers)} for each in asked]

    # Several shards

    def outermost(self, inputs: Inputs, options: SearchOptions) -> Flow[Stage]:
        """What is sent for this stage as the outermost one; itself, but where Qdrant would not give what it promises."""
        yield from ()
        return self

    def over_collection(self, inputs: Inputs, options: SearchOptions) -> Flow[Stage]:
        """This stage over the candidates of the whole collection, which are asked for first where shards have their own.

        For stages that compare vectors; others are as they are.
        """
        yield from ()
        return self

    @property
    def collection_round_trips(self) -> int:
        """How many round trips `over_collection` takes where there are several shards."""
        return 0

    def alike_on_shards(self, schema: Schema) -> bool:
        """Whether it gives, as the outermost stage, what its candidates give when each is searched alone over the collection.

        On one shard it always does. Several hand a stage each its own candidates, but for plain searches, and for a fusion of
        plain searches.
        """
        if schema.shards <= 1 or self._is_plain:
            return True
        return self.joins_shards and all(candidate._is_plain for candidate in self.candidates)

    @property
    def _is_plain(self) -> bool:
        return not self.candidates and not self.once_per_collection

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        if schema.shards <= 1:
            return
        several = f"the {schema.shards} shards"
        for depth, stage in enumerate(self.stages()):
            if depth and stage.once_per_collection:
                yield Lint(
                    "nested-under-shards",
                    f"{brief(stage)} below another stage runs in each of {several} by itself, so results change with the "
                    "number of shards: put fusion and MMR outermost, or compute a formula over them here with .on_client()",
                )
            # of candidates that rank once per collection it is said already
            if not stage.once_per_collection and any(not candidate.once_per_collection for candidate in stage.candidates):
                here = "Formula(…).over(…).on_client()"
                if stage.vector is not None:
                    here = "Formula(score()).over(…).on_client() around it"
                yield Lint(
                    "candidates-per-shard",
                    f"each of {several} hands {brief(stage)} its own candidates, as many as their limit says, so results "
                    f"change with the number of shards (not for the worse): {here} ranks the whole collection's candidates, "
                    "and gives the same on any number",
                )
        for name in dict.fromkeys(stage.vector for stage in self.stages()):
            if name is not None and name in schema.vectors and schema.vectors[name].idf:
                yield Lint(
                    "idf-per-shard",
                    f"each of {several} weighs {name!r} by the IDF of its own points, so scores and order change with the "
                    "number of shards: the more points a shard has, the less",
                )

    # Its text, and copies

    def __getstate__(self) -> dict[str, Any]:
        """What makes the stage, without what was made of it: that is kept by the `id` of parts, which copies don't share."""
        return {attribute.name: getattr(self, attribute.name) for attribute in fields(self)}

    def __repr__(self) -> str:
        over = ", ".join(map(repr, self.candidates))
        return f"{self._head()}.over({over})" if over else self._head()

    def _head(self) -> str:
        return f"{type(self).__name__}({', '.join([*self._own_arguments(), *self._common_arguments()])})"

    def _own_arguments(self) -> Iterator[str]:
        yield from ()

    def _common_arguments(self) -> Iterator[str]:
        for attribute in fields(Stage):
            value = getattr(self, attribute.name)
            if attribute.name != "candidates" and value is not None:
                yield f"{attribute.name}={literal(value)}"


@dataclass(frozen=True, repr=False)
class _PerShard(Stage):
    """The points of its one candidate as each shard finds them, each with its own score, minus it for distances."""

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        turned = self.candidates[0].is_distance(inputs.target.schema)
        return models.FormulaQuery(formula=models.NegExpression(neg="$score") if turned else "$score")


def candidate_names(candidates: Sequence[Stage]) -> list[str]:
    """A name for each candidate: its title, numbered where several have the same."""
    titles = [candidate.title if candidate.title is not None else type(candidate).__name__.lower() for candidate in candidates]
    return [
        title if titles.count(title) == 1 else f"{title} ({titles[: number + 1].count(title)})"
        for number, title in enumerate(titles)
    ]


def _zeros(info: VectorInfo) -> QueryVector:
    if info.kind == "sparse":
        return models.SparseVector(indices=[], values=[])
    return [[0.0] * (info.size or 0)] if info.kind == "multi" else [0.0] * (info.size or 0)

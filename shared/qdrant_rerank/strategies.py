"""What a strategy is: one query → ranked points, as a frozen value without I/O; and what all stages have in common.

`Strategy` is anything with a `flow`. `Stage` is a strategy that Qdrant runs alone; stages nest by `.over(...)` into
one request. The kinds of stages are in `stages/`. Below them: what a call fetches beyond what it returns, whether candidates
can fill it, what changes with the number of shards, and the guarded search.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar, Final, Self

from qdrant_client import models

from .capabilities import ABILITIES, AbilityName
from .engine_errors import read_failure
from .errors import Lint, QueryError, StrategyError, did_you_mean, warn
from .formula_limits import filter_problems
from .points import group, settled, widened, with_keys
from .query import Inputs, Query, SearchOptions, Target, both, check_query, check_whole, checked_vector, not_a_filter, sealed
from .request_parts import features_of
from .schema import Schema
from .steps import Embed, Flow, Points, QueryVector, Request, Search
from .values import LARGEST, brief, is_finite, is_whole, literal

__all__ = [
    "CANDIDATES",
    "SEVERAL_VALUES",
    "Cost",
    "Stage",
    "Strategy",
    "alone",
    "candidate_options",
    "cut",
    "embedded",
    "find_kinds",
    "grouping_lint",
    "searched",
    "shard_lints",
    "shortfalls",
    "widen",
]

CANDIDATES = 100
"""How many points a candidate stage fetches when its `limit` isn't set (Qdrant's own default is the root's limit,
which leaves a rescoring nothing to choose from)."""


@dataclass(frozen=True)
class Cost:
    """What one query costs: requests to Qdrant, and texts that a model reads beyond embedding the query."""

    round_trips: int = 1
    model_calls: int = 0


_KINDS: Final[dict[str, type[Strategy]]] = {}
_HOMES: Final = (  # of our own kinds
    *("stages.nearest", "stages.fusion", "stages.formula", "stages.mmr", "rerank", "feedback.strategy", "feedback.rounds"),
)


def find_kinds() -> Mapping[str, type[Strategy]]:
    """The kinds of strategies that have a JSON form, by the name that they have there."""
    # a kind registers itself where it is defined, once that is loaded; listed in this order, whatever was loaded first
    homes = [import_module(f".{home}", __package__).__name__ for home in _HOMES]
    return {name: cls for home in homes for name, cls in _KINDS.items() if cls.__module__ == home} | _KINDS


class Strategy(ABC):
    """A way to turn one query into ranked points: a frozen, serialisable value.

    A dataclass that is declared with `kind="…"` has a JSON form under that name.

    Laws (tested): `eval(repr(s)) == s`; `from_json(to_json(s)) == s`; `flow` is pure between its steps.
    """

    kind: ClassVar[str | None] = None
    """What it is called in JSON; None if it has no JSON form."""

    def __init_subclass__(cls, kind: str | None = None) -> None:
        super().__init_subclass__()
        cls.kind = kind
        if kind is not None:
            _KINDS[kind] = cls

    @property
    def cost(self) -> Cost:
        """What one query costs."""
        return Cost()

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
    def resolved(self, schema: Schema) -> Self:
        """This strategy with the names of vectors that it leaves open filled in from the schema."""

    @abstractmethod
    def stages(self) -> Iterator[Stage]:
        """Every stage in it, outermost first."""

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

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        """What changes with the number of shards that a call searches, which `schema` says."""
        yield from ()

    def shard_round_trips(self, schema: Schema) -> int:
        """The round trips that a query takes beyond its `cost` where several shards are searched, which `schema` says."""
        return 0

    def abilities(self) -> frozenset[AbilityName]:
        """What the server must be able to do."""
        return frozenset(feature for stage in self.stages() for feature in stage.own_features())

    def request_time(self) -> frozenset[str]:
        """The names of the request-time values that it reads."""
        return frozenset(name for stage in self.stages() for name in stage.own_request_time)

    def look(self, target: Target, options: SearchOptions) -> Flow[Target]:
        """`target` with what a plan has to know of the collection's points; no step where that is nothing, or known already."""
        for stage in self.stages():
            target = yield from stage.look_alone(target, options)
        return target

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        """Why it can't do what a call asks for."""
        yield from ()

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        """The requests that are known before anything was found, to be shown."""
        yield from ()


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
            raise StrategyError(f"the params of {kind} must be a qdrant_client.models.SearchParams, got {self.search_params!r}")
        if self.name is not None and not isinstance(self.name, str):
            raise StrategyError(f"the name of {kind} must be text, got {self.name!r}")

    def over(self, *candidates: Stage) -> Self:
        """This stage, run over the points that those stages find."""
        if not candidates:
            raise StrategyError(f"{type(self).__name__}.over() needs at least one stage to run over")
        return replace(self, candidates=candidates)

    # What a kind of stage says of itself

    @abstractmethod
    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        """What this stage asks Qdrant to do, to return `limit` points."""

    is_steered: ClassVar[bool] = False
    """Whether it is the search that relevance feedback steers."""

    once_per_collection: ClassVar[bool] = False
    """Whether the stage ranks points by each other, so that it makes a difference that nested stages run per shard."""

    joins_shards: ClassVar[bool] = False
    """Whether it gives the same on any number of shards as the outermost stage over plain searches, whose points Qdrant then
    puts together first."""

    @property
    def vector(self) -> str | None:
        """The vector that this stage compares; None if it compares none."""
        return None

    @property
    def title(self) -> str | None:
        """The name that `score(name)` finds it by."""
        return self.name

    def is_distance(self, schema: Schema) -> bool:
        """Whether its scores are distances, where lower is better; fusions and formulas turn them around."""
        info = None if self.vector is None else schema.vectors.get(self.vector)
        return info is not None and info.is_distance

    @property
    def own_request_time(self) -> frozenset[str]:
        """The names of the request-time values that this stage reads, apart from its candidates."""
        return frozenset()

    def look_alone(self, target: Target, options: SearchOptions) -> Flow[Target]:
        """As `look`, for this stage apart from its candidates."""
        yield from ()
        return target

    def own_problems(self, target: Target) -> Iterator[str]:
        """Why this stage, apart from its candidates, can't run on `target`."""
        yield from ()

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        """What will work, but not as it seems, in this stage apart from its candidates."""
        yield from ()

    @property
    def grouped_here(self) -> bool:
        """Whether groups of its ranking are made here, as its scores depend on what else is ranked (see `points.py`)."""
        return self.once_per_collection

    cuts_pages_short: ClassVar[bool] = False
    """Whether Qdrant takes an offset from the `limit` points that the stage ranks, so that pages are cut here."""

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
        if schema.shards > 1:
            yield from shard_lints(self, schema)

    def own_features(self) -> Iterator[AbilityName]:
        """What the server must be able to do for this stage apart from its candidates."""
        yield "query"

    def resolved(self, schema: Schema) -> Self:
        return replace(self, candidates=tuple(stage.resolved(schema) for stage in self.candidates))

    # What all stages have in common

    def needs(self) -> frozenset[str]:
        return self._needs

    @cached_property
    def _needs(self) -> frozenset[str]:
        return frozenset(stage.vector for stage in self.stages() if stage.vector is not None)

    def stages(self) -> Iterator[Stage]:
        yield self
        for candidate in self.candidates:
            yield from candidate.stages()

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        inputs = yield from embedded(query, self.needs(), target)
        wide = widen(self, options)
        root = yield from self.outermost(inputs, wide)
        [points] = yield from searched(lambda: [root.request(inputs, wide)], options, target)
        return cut(points, self, options)

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

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        yield from shortfalls(self, options.reach, "the call asks for", options.needed)

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield self.request(inputs, widen(self, options))

    def request(self, inputs: Inputs, options: SearchOptions) -> Request:
        """The request for this stage and all its candidates; pure."""
        if not inputs.target.capabilities.pushes_filters:
            inputs = replace(inputs, leaf_filter=both(self.filter, options.filter))
        clauses = self._clauses(inputs, options.needed, options.needed)
        clauses |= {
            "filter": sealed(both(self.filter, options.filter)),
            "score_threshold": self.score_threshold if options.score_threshold is None else options.score_threshold,
            "params": options.search_params or self.search_params,
            "shard_key": options.shard_key_selector,
            "limit": options.limit,
            "with_payload": options.with_payload,
            "with_vector": options.with_vectors or None,
        }
        if options.group_by is not None:
            return models.QueryGroupsRequest(**clauses, group_by=options.group_by, group_size=options.group_size)
        # without validation, which would copy every vector once more: all parts are checked or made here
        return models.QueryRequest.model_construct(**clauses, offset=options.offset or None)

    def prefetch(self, inputs: Inputs, needed: int) -> models.Prefetch:
        """This stage as a candidate of one that ranks `needed` points; pure."""
        limit, own = self.reach(needed), self.filter
        if not inputs.target.capabilities.pushes_filters:
            own = both(self.filter, inputs.leaf_filter)
            inputs = replace(inputs, leaf_filter=own)
        clauses = self._clauses(inputs, limit, self.needs_points(needed))
        clauses |= {"filter": sealed(own), "score_threshold": self.score_threshold, "params": self.search_params}
        return models.Prefetch.model_construct(**clauses, limit=limit)

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

    def _clauses(self, inputs: Inputs, limit: int, needed: int) -> dict[str, Any]:
        return {
            "query": self.query(inputs, limit),
            "using": self.vector or None,  # the unnamed vector is not named on the wire
            "prefetch": [stage.prefetch(inputs, needed) for stage in self.candidates] or None,
        }

    def __repr__(self) -> str:
        over = ", ".join(map(repr, self.candidates))
        return f"{self._head()}.over({over})" if over else self._head()

    def _head(self) -> str:
        """The text of the stage without its candidates."""
        return f"{type(self).__name__}({', '.join([*self._own_arguments(), *self._common_arguments()])})"

    def _own_arguments(self) -> Iterator[str]:
        yield from ()

    def _common_arguments(self) -> Iterator[str]:
        for attribute in fields(Stage):
            value = getattr(self, attribute.name)
            if attribute.name != "candidates" and value is not None:
                yield f"{attribute.name}={literal(value)}"


def embedded(query: Query, needs: frozenset[str], target: Target) -> Flow[Inputs]:
    """What requests are built from, embedding the query only for the vectors that it doesn't bring along.

    Raises:
        QueryError: a vector isn't in the collection or doesn't fit, or there is no text to embed.
    """
    check_query(query)
    with _against_schema():
        _check_names(query, target.schema)
    vectors: dict[str, QueryVector] = {name: query.vectors[name] for name in sorted(needs) if name in query.vectors}
    missing = needs.difference(vectors)
    if missing:
        if not isinstance(query.text, str) or not query.text.strip():
            listed = ", ".join(map(repr, sorted(missing)))
            raise QueryError(f"the query's text is empty ({query.text!r}): there is nothing to embed for {listed}")
        check_whole(query.text)
        [found] = yield from Embed([query.text], missing)
        vectors |= found
    with _against_schema():
        checked = {name: checked_vector(name, vector, target.schema.vectors[name]) for name, vector in vectors.items()}
    _check_inference(checked, target)
    return Inputs(target, checked, query.params, query.now or dt.datetime.now(dt.UTC))


@contextmanager
def _against_schema() -> Generator[None]:
    """Marks the errors of checks against the schema, which may have changed."""
    try:
        yield
    except QueryError as error:
        error.against_schema = True
        raise


def _check_inference(vectors: Mapping[str, QueryVector], target: Target) -> None:
    """Refuse what the server is to embed and doesn't know, which gRPC would drop."""
    for feature in features_of([vector for vector in vectors.values() if not isinstance(vector, list)]):
        if not target.capabilities.supports(feature):
            said = ABILITIES[feature]
            since = ".".join(map(str, said.since[:2]))
            raise QueryError(f"{said.says} need Qdrant {since}; this is {target.capabilities}: embed the query here")


def _check_names(query: Query, schema: Schema) -> None:
    for name in query.vectors:
        if name not in schema.vectors:
            there = f"the collection {schema.collection!r} has {schema.describe_vectors()}{did_you_mean(name, schema.vectors)}"
            raise QueryError(f"the query brings a vector for {name!r}, but {there}")


def alone(stage: Stage, needed: int, above: models.Filter | None) -> Stage:
    """The same candidate with its limits and all filters above it, so that alone it finds what it finds below its parent.

    Args:
        stage: the candidate.
        needed: how many points the stage above it ranks.
        above: the filters of all stages above it.
    """
    inner, own = stage.needs_points(needed), both(stage.filter, above)
    candidates = tuple(alone(candidate, inner, own) for candidate in stage.candidates)
    return replace(stage, limit=stage.reach(needed), filter=own, candidates=candidates)


def candidate_options(candidate: Stage, options: SearchOptions) -> SearchOptions:
    """The options in which one of the stages of `below` alone returns all that it hands on."""
    return SearchOptions(
        limit=candidate.limit or 1, filter=options.filter, shard_key_selector=options.shard_key_selector, with_payload=False
    )


SEVERAL_VALUES = (
    "some points of {collection!r} hold lists of several values, or places beyond 90 and 180 degrees, under a key that a "
    "formula reads as one value{key}: they count as missing, and formulas over this collection run slower from now on, as each "
    "value is looked at; store single values"
)


def searched(requests: Callable[[], list[Request]], options: SearchOptions, target: Target) -> Flow[list[Points]]:
    """The points of each request; where a formula is refused that was guarded quickly, of the same requests made anew.

    A formula reads a payload value behind a condition that it is a number. A list of several numbers meets that condition and
    then fails the whole query, as does a place beyond 90 and 180 degrees; more conditions, that there is just one value and
    that it is on Earth, make sure, but no payload index answers the first, so that formulas take 4 to 11 times as long
    (`benchmarks/formula.py --only guards`). Such values under a key that a formula takes for one value are rare. So formulas go
    out with the quick guard; when an engine refuses one, it is sent again with the thorough guard, and so are all later ones of
    that executor. Only an engine's word that a formula met a value which it can't read is reason to: a server that is
    overloaded, or that gave a search up, says nothing of values.

    Args:
        requests: makes the requests, for the guards that the target asks for at that moment.
        options: those of the search.
        target: notes that thorough guards are needed.
    """
    quick, asked = not target.thorough, requests()
    try:
        return (yield from Search(asked, options.consistency, options.timeout, target.schema))
    except Exception as error:
        if not quick or not _refused_formula(error):
            raise
        before, target.quirks.several_values = target.quirks.several_values, True
        thorough = requests()
        if thorough == asked:  # nothing in it is guarded: a plain search, or keys that are read without a default
            target.quirks.several_values = before
            raise
        try:
            found = yield from Search(thorough, options.consistency, options.timeout, target.schema)
        except Exception:
            target.quirks.several_values = before  # it was something else
            raise error from None
        key = "" if (known := read_failure(error).key) is None else f" ({known!r})"
    warn(SEVERAL_VALUES.format(collection=target.schema.collection, key=key))
    return found


def _refused_formula(error: Exception) -> bool:
    """Whether this is how an engine says that a formula met a value which it can't read."""
    return read_failure(error).shows_values


def shortfalls(stage: Stage, needed: int, who: str, page: int | None = None) -> Iterator[str]:
    """Stages, from `stage` down, whose candidates together hand on fewer points than it is to rank.

    Args:
        stage: the outermost.
        needed: how many points it is to rank.
        who: what asks for them, for the messages, e.g. "the call asks for".
        page: by how many points candidates without a limit go; `needed` if None.
    """
    page = needed if page is None else page
    together = sum(candidate.reach(page) for candidate in stage.candidates)
    if stage.candidates and together < needed:
        listed = ", ".join(brief(candidate) for candidate in stage.candidates)
        yield (
            f"{who} {needed} points, but the candidates of {type(stage).__name__} hand on {together}: "
            f"raise the limit of {listed} to {needed} or more, or ask for fewer"
        )
    for candidate in stage.candidates:
        below = candidate.needs_points(page)
        yield from shortfalls(candidate, below, f"{type(candidate).__name__} is to hand on")


def widen(root: Stage, options: SearchOptions) -> SearchOptions:
    """The options of the request from whose points `cut` makes what `options` asks of this outermost stage."""
    if options.group_by is not None and root.grouped_here:
        payload = with_keys(options.with_payload, [options.group_by])
        return replace(options, limit=root.whole(options.hits), group_by=None, with_payload=payload, page=options.hits)
    if options.offset and root.cuts_pages_short:
        return replace(options, limit=options.reach, offset=None, page=options.needed)
    return widened(options)


def cut(points: Points, root: Stage, options: SearchOptions) -> Points:
    """What `options` asks for, of the points that a search with the widened options found."""
    if options.group_by is not None and root.grouped_here:
        return group(points, options, root.holds_all(len(points), options.hits))
    if options.offset and root.cuts_pages_short:
        return points[options.offset :]
    return settled(points, options)


def shard_lints(root: Stage, schema: Schema) -> Iterator[Lint]:
    """What is other on the shards of `schema`, of which there are several, than on one; `root` is the outermost stage."""
    several = f"the {schema.shards} shards"
    for depth, stage in enumerate(root.stages()):
        if depth and stage.once_per_collection:
            yield Lint(
                "nested-under-shards",
                f"{brief(stage)} below another stage runs in each of {several} by itself, so results change with the number of "
                "shards: put fusion and MMR outermost, or compute a formula over them here with .on_client()",
            )
        if not stage.once_per_collection and _has_own_candidates(stage):
            yield Lint(
                "candidates-per-shard",
                f"each of {several} hands {brief(stage)} its own candidates, as many as their limit says, so results change "
                f"with the number of shards (not for the worse): {_here(stage)} ranks the whole collection's candidates, and "
                "gives the same on any number",
            )
    for name in dict.fromkeys(stage.vector for stage in root.stages()):
        if name is not None and name in schema.vectors and schema.vectors[name].idf:
            yield Lint(
                "idf-per-shard",
                f"each of {several} weighs {name!r} by the IDF of its own points, so scores and order change with the number "
                "of shards: the more points a shard has, the less",
            )


def _has_own_candidates(stage: Stage) -> bool:
    """Whether it ranks candidates of which the warning isn't said already."""
    return any(not candidate.once_per_collection for candidate in stage.candidates)


def _here(stage: Stage) -> str:
    """How to have it computed here."""
    return "Formula(…).over(…).on_client()" if stage.vector is None else "Formula(score()).over(…).on_client() around it"


def grouping_lint(root: Stage, options: SearchOptions) -> Lint:
    """That groups are made here, and of what."""
    return Lint(
        "grouped-here",
        f"groups by {options.group_by!r} are made here of the ranking of {brief(root)}, up to {root.whole(options.hits)} "
        "points: Qdrant's own group query would rank anew for each round of groups; candidates decide how many there can be",
    )

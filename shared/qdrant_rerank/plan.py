"""A strategy checked against one collection and one server, once, before any query; and explained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any, Final, TypeVar

from qdrant_client import models

from .capabilities import ABILITIES, AbilityName, Capabilities
from .engine_errors import read_failure
from .errors import Lint, PlanError, QdrantRerankError, QueryError, StrategyError, did_you_mean
from .explain.plans import PlanDescription, Refusal, abbreviate
from .explain.results import Explained
from .expressions.inspect import payload_keys, walk, write_reader
from .expressions.lowering import holds_datetime, holds_number, holds_place
from .expressions.nodes import Expression, Raw
from .expressions.view import path_problem
from .formula_limits import filter_problems
from .payload import AnyMapping, PayloadLike, as_mapping
from .payload_mistakes import find_mistakes, name_reader, read_in_results, tell_mistakes
from .points import turn_around
from .query import Inputs, Query, SearchOptions, Target, both, check_params, check_query, embed_query, restrict
from .request_parts import abilities_of, bad_paths, filter_limits, params_limits, request_limits, strict_limits
from .schema import Schema
from .steps import Flow, Points, Request, Search
from .strategies import Cost, Stage, Strategy
from .values import brief

R = TypeVar("R")

_READ_AS: Final = {models.PayloadSchemaType.DATETIME: "date", models.PayloadSchemaType.GEO: "place"}
"""What a formula reads by a type of index; else numbers."""
_PLAIN: Final = re.compile(r"[\w-]+")
_UNGUARDED: Final = (
    "the formula sends a part as it is, {part}, which no guard protects: it has to be a finite number for every candidate"
)


def plan(
    strategy: Strategy,
    schema: Schema,
    capabilities: Capabilities,
    options: SearchOptions | None = None,
    payload: PayloadLike | AnyMapping = "flat",
) -> Plan:
    """`strategy` as it will run on this collection and server; `payload` says where models find the text.

    Raises:
        PlanError: it doesn't fit; `.problems` lists every reason.
        StrategyError: it is no strategy.
    """
    return plan_on(strategy, Target(schema, capabilities, as_mapping(payload)), options)


def check_strategy(strategy: object) -> None:
    """Refuse what is no strategy. Raises StrategyError, which says what to pass."""
    if isinstance(strategy, Strategy):
        return
    if isinstance(getattr(strategy, "strategy", None), Strategy):  # a learned ranker, what tune chose
        raise StrategyError(f"a {type(strategy).__name__} is not a strategy, but has one: pass its .strategy")
    in_file = isinstance(strategy, str | PathLike) and str(strategy).endswith(".json")
    hint = f"; for one that is in a file, pass load({str(strategy)!r})" if in_file else ""
    raise StrategyError(f"not a strategy: {brief(strategy)}; e.g. Nearest(), or Formula(…).over(Nearest(limit=100)){hint}")


def plan_on(strategy: Strategy, target: Target, options: SearchOptions | None = None) -> Plan:
    """As `plan`, for a target that knows more than the collection: the models at hand, what was found out while searching."""
    check_strategy(strategy)
    options = _limited(options or SearchOptions(), target)
    resolved = strategy.resolve(target.schema)
    made = Plan(resolved, options, target, tuple(resolved.warnings(target)))
    if problems := [*resolved.problems(target), *made.problems()]:
        raise PlanError(dict.fromkeys(problems))
    return made.check_requests()


def add_params(params: Mapping[str, Any], added: Mapping[str, Any], strategy: Strategy | None) -> Mapping[str, Any]:
    """A retriever's request-time values with those of a call, which go first.

    Raises:
        QueryError: these are no mapping, or one looks like a misspelt name of what the strategy reads: the value that the
            retriever has for it would count, and nobody would notice.
    """
    check_params(added)
    if strategy is not None and params:
        _check_names(added, strategy)
    return {**params, **added}


def _check_names(params: Mapping[str, Any], strategy: Strategy) -> None:
    known = strategy.params()
    for name in params:
        hint = did_you_mean(str(name), known.keys() - params.keys()) if name not in known else ""
        if hint:
            there = ", ".join(map(repr, sorted(known)))
            raise QueryError(f"the strategy reads no request-time value {name!r}; it reads: {there}{hint}")


@dataclass(frozen=True)
class Plan:
    """A strategy that fits its collection and server.

    Attributes:
        strategy: the strategy, with every vector's name filled in.
        options: what a call asks for.
        target: the collection's schema and the server's capabilities.
        strategy_warnings: what will work, but not as it seems, whatever the options.
        sent_abilities: what its requests have in them that a server must understand.
    """

    strategy: Strategy
    options: SearchOptions
    target: Target
    strategy_warnings: tuple[Lint, ...] = ()
    sent_abilities: frozenset[AbilityName] = frozenset()

    def within(self, options: SearchOptions) -> Plan:
        """This plan for another call's options; only they are checked.

        Raises PlanError where they are wrong in themselves, or ask for more than the candidates.
        """
        if options == self.options and options.page == self.options.page:
            return self
        made = replace(self, options=_limited(options, self.target), strategy_warnings=tuple(self._warnings_for(options)))
        if problems := [*made.problems()] or [*made._options_problems()]:
            raise PlanError(dict.fromkeys(problems))
        return made

    def check_requests(self) -> Plan:
        """This plan, if its requests, as they will be sent, have nothing that this server or any engine refuses or drops.

        Raises PlanError where they have.
        """
        bare = replace(self, options=replace(self.options, filter=None, search_params=None, group_by=None))
        requests = list(bare._requests())
        made = replace(self, sent_abilities=frozenset(abilities_of(requests)))
        if problems := [*bad_paths(requests), *request_limits(requests), *made._options_problems(), *made._unsupported()]:
            raise PlanError(dict.fromkeys(problems))
        return made

    def _requests(self) -> Iterator[Request]:
        """All that a query asks of Qdrant, with stand-ins for what only the query knows."""
        inputs, everywhere = self._inputs(None), not self.target.capabilities.pushes_filters
        for request in (
            *self.strategy.first_requests(inputs, self.options),
            *self.strategy.later_requests(inputs, self.options),
        ):
            yield restrict(request, self.target.fixed_filter, everywhere)

    def _options_problems(self) -> Iterator[str]:
        """What the call brings along that this server or any engine refuses."""
        options = self.options
        yield from bad_paths(options.filter)
        for key in (*_keys_in(options.with_payload), *([options.group_by] if options.group_by is not None else [])):
            if problem := path_problem(key):
                yield problem
        if options.filter is not None:
            yield from filter_limits(options.filter, "the call's filter")
        yield from params_limits(options.search_params, "the call's search_params")
        strict = self.target.schema.strict
        if strict is not None:
            yield from strict_limits(list(self._requests()), self.target.schema, options.timeout)

    def _warnings_for(self, options: SearchOptions) -> Iterator[Lint]:
        """The strategy's warnings without those that only points tell which another filter lets through."""
        for lint in self.strategy_warnings:
            if lint.code != "feature-drift" or options.filter == self.options.filter:
                yield lint

    def problems(self) -> Iterator[str]:
        """Why the strategy can't run with these options on this server."""
        if wrong := list(self.options.problems()):
            yield from wrong
            return
        yield from self.strategy.options_problems(self.options, self.target)
        if self.options.filter is not None:
            yield from filter_problems(self.options.filter, self.target.schema)
        if self.options.stable_ties and not self.strategy.ranks_by_score:
            yield "stable_ties can't be combined with MMR, whose results aren't in the order of their scores"
        yield from self._unsupported()

    def _unsupported(self) -> Iterator[str]:
        for name in self._abilities():
            ability = ABILITIES[name]
            if not self.target.capabilities.supports(name) and not ability.silent:
                yield f"{ability.says} need Qdrant {_dotted(ability.since)}; this is {self.target.capabilities}"

    @property
    def warnings(self) -> tuple[Lint, ...]:
        """What will work, but not as it seems; each is text, with a `code`."""
        return (*self.strategy_warnings, *self._options_warnings())

    @property
    def cost(self) -> Cost:
        """What one query costs on this collection: the strategy's, and what its shards add."""
        own, schema = self.strategy.cost, self._searched
        return replace(own, round_trips=own.round_trips + self.strategy.shard_round_trips(schema))

    @property
    def _searched(self) -> Schema:
        """The collection as the call sees it, which may search the shards of some keys alone."""
        return replace(self.target.schema, shards=self.target.schema.shards_of(self.options.shard_key_selector))

    def flow(self, query: Query) -> Flow[Points]:
        """The steps from `query` to ranked points; nothing has happened yet.

        When Qdrant refuses a formula, one more search finds out which payload key is to blame.

        Raises:
            PlanError: a candidate lacks a payload key that the formula reads without a default.
        """
        if query.params != {} or query.now is not None:
            self._check_params(query)
        try:
            points = yield from self.strategy.flow(query, self.options, self.target)
        except Exception as error:
            yield from self._account_for(error)
            raise
        if not points or not self._readings <= self.target.quirks.checked:
            yield from tell_mistakes(self.strategy, self.options, self.target, points, query.params)
        return points

    def answer(self, query: Query, explanations: bool) -> Flow[Explained]:
        """The steps from `query` to ranked points, with the reason for each if asked; as `flow` or `explain`.

        Higher scores are better here, as readers of documents take them: for Euclid and Manhattan they are minus the distance.
        """
        found = (yield from self.explain(query)) if explanations else Explained((yield from self.flow(query)), ())
        if not self._is_distance:
            return found
        reasons = [replace(reason, score=0.0 - reason.score, total=0.0 - reason.total) for reason in found.reasons]
        return replace(found, points=turn_around(found.points), reasons=tuple(reasons))

    @cached_property
    def _is_distance(self) -> bool:
        return self.strategy.is_distance(self.target.schema)

    def explain(self, query: Query) -> Flow[Explained]:
        """The steps from `query` to ranked points with the reason for each; one round trip more where points tie.

        Raises:
            StrategyError: results of this kind of strategy, or groups, can't be explained.
            PlanError: as `flow`.
        """
        self._check_params(query)
        try:
            found = yield from self.strategy.explain(query, self.options, self.target)
        except Exception as error:
            yield from self._account_for(error)
            raise
        if not found.points or not self._readings <= self.target.quirks.checked:
            yield from tell_mistakes(self.strategy, self.options, self.target, found.points, query.params)
        return found

    def _account_for(self, error: Exception) -> Flow[None]:
        """The formula's own account beside an engine's error, where it refuses a formula.

        Raises PlanError from that error, where points are known that have no value for what the formula reads.
        """
        failure = read_failure(error)
        # local mode fails at some values with errors of Python's, and at nothing that passes
        local = self.target.capabilities.engine == "local" and failure.kind == "unknown"
        if not failure.is_formula_s and (not local or isinstance(error, QdrantRerankError)):
            return
        culprits = yield from self._culprits(failure.key)
        if culprits:
            raise PlanError(culprits) from error
        raws = [node for expression in self._expressions for node in walk(expression) if isinstance(node, Raw)]
        if raws and (note := _UNGUARDED.format(part=brief(raws[0]))) not in getattr(error, "__notes__", ()):
            error.add_note(note)

    def check_keys(self) -> Flow[Plan]:
        """The plan, whose warnings name payload keys that no point has or holds otherwise than is read: by a sample of points.

        For `executor.answer(strategy, options, lambda plan: plan.check_keys())`. `describe` itself asks for nothing, and a
        query tells of such keys when its results let suspect them.
        """
        found = yield from find_mistakes(self.strategy, self.options, self.target)
        return replace(self, strategy_warnings=(*self.strategy_warnings, *found))

    def describe(self, query: Query | None = None) -> PlanDescription:
        """What will be asked of Qdrant, what it costs, and which servers would refuse it.

        Without a query, whose request is shown, vectors and request-time values are stand-ins.
        """
        inputs = self._inputs(query)
        requests = self.strategy.first_requests(inputs, self.options)
        return PlanDescription(
            strategy=repr(self.strategy),
            collection=self.target.schema.collection,
            vectors=self.target.schema.describe_vectors(),
            server=str(self.target.capabilities),
            embeds=tuple(sorted(self.strategy.needs())),
            round_trips=self.cost.round_trips,
            reads=self.cost.reads,
            refusals=tuple(self._refusals()),
            warnings=self.warnings,
            requests=tuple(map(self._shown, requests)),
            later=tuple(map(self._shown, self.strategy.later_requests(inputs, self.options))),
            summary=self.strategy.summary,
            computed=self.strategy.weigh_places(inputs, self.options),
        )

    def _shown(self, request: Request) -> Any:
        return abbreviate(restrict(request, self.target.fixed_filter, not self.target.capabilities.pushes_filters))

    def _inputs(self, query: Query | None) -> Inputs:
        if query is None:
            return Inputs(self.target, *self.strategy.stand_ins(self.target.schema))
        self._check_params(query)
        flow = embed_query(query, self.strategy.needs(), self.target)
        try:
            next(flow)
        except StopIteration as done:
            inputs: Inputs = done.value
            return inputs
        raise StrategyError("describe(query) embeds nothing: give the query's vectors in Query(vectors=…)")

    def _abilities(self) -> list[AbilityName]:
        abilities: set[AbilityName] = {
            *self.strategy.abilities(),
            *self.sent_abilities,
            *self.strategy.options_abilities(self.options),
            *abilities_of([self.options.filter, self.options.search_params]),
        }
        return sorted(abilities, key=lambda name: ABILITIES[name].since)

    def _refusals(self) -> Iterator[Refusal]:
        for name in reversed(self._abilities()):
            ability = ABILITIES[name]
            yield Refusal(_dotted(ability.since), ability.says, ability.silent)

    def _options_warnings(self) -> Iterator[Lint]:
        yield from self.strategy.shard_warnings(self._searched)
        yield from self.strategy.options_warnings(self.options, self.target)
        if self.options.search_params is not None and not self.strategy.takes_search_params:
            yield Lint(
                "search-params-ignored",
                f"the call's search_params have no effect: they are for the final stage, and {brief(self.strategy)} searches "
                "nothing itself; give them to its candidates, e.g. Nearest(search_params=…)",
            )
        for name in self._abilities():
            if ABILITIES[name].silent and not self.target.capabilities.supports(name):
                since = _dotted(ABILITIES[name].since)
                yield Lint(
                    "ignored-by-server", f"{self.target.capabilities} ignores {ABILITIES[name].says}, which {since} brought"
                )

    def _check_params(self, query: Query) -> None:
        """Refuse request-time values that look like misspelt ones: with a default in the formula, nobody would notice.

        Values that nothing reads are fine otherwise: an application may pass all it knows of a user to every strategy.
        """
        check_query(query)
        _check_names(query.params, self.strategy)

    @cached_property
    def _readings(self) -> frozenset[tuple[str, ...]]:
        """What the strategy reads of the payload and results show, as the memory of what was looked for has it."""
        return frozenset(each.memory for each in read_in_results(self.strategy, self.options))

    @property
    def _expressions(self) -> list[Expression]:
        return [expression for stage in self.strategy.stages() for expression in stage.own_expressions()]

    @cached_property
    def _required_keys(self) -> dict[str, models.PayloadSchemaType]:
        """The payload keys that every candidate must have, and as what they are read."""
        keys = (key for expression in self._expressions for key in payload_keys(expression) if not key.has_default)
        return {key.key: key.index for key in keys if key.index is not None}

    def _culprits(self, named: str | None) -> Flow[list[str]]:
        """For each key that some point lacks, or holds something else at, what to write; nothing if Qdrant can't be asked.

        Only points that the formula may come upon are looked at: others may be those of another tenant.
        """
        keys = [key for key in self._required_keys if named in (None, key)] or list(self._required_keys)
        if not keys:
            return []
        filters = [lack for key in keys for lack in self._lacking(key)]
        within, roots = both(self._reachable, self.options.filter), {key.partition(".")[0] for key in keys}
        shown = models.PayloadSelectorInclude(include=sorted(roots)) if all(map(_PLAIN.fullmatch, roots)) else False
        shard_key = self.options.shard_key_selector
        try:
            found = yield from Search(
                [
                    models.QueryRequest(filter=both(within, lack), limit=1, with_payload=shown, shard_key=shard_key)
                    for lack in filters
                ],
                self.options.consistency,
                self.options.timeout,
            )
        except Exception:
            return []
        return [problem for place, key in enumerate(keys) for problem in self._says(key, *found[2 * place : 2 * place + 2])]

    def _lacking(self, key: str) -> tuple[models.Filter, models.Filter]:
        """What points meet that have nothing at a key, and those that hold something else than what is read."""
        kind, capabilities = self._required_keys[key], self.target.capabilities
        if kind == models.PayloadSchemaType.DATETIME:
            readable = holds_datetime(key)
        elif kind == models.PayloadSchemaType.GEO:
            readable = holds_place(key, models.GeoPoint(lat=0.0, lon=0.0), capabilities.counts_members)
        else:
            readable = holds_number(key)
        nothing = models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
        return models.Filter(must=[nothing]), models.Filter(must_not=[nothing, readable])

    def _says(self, key: str, without: Points, unreadable: Points) -> Iterator[str]:
        kind = self._required_keys[key]
        said = f"the formula reads {key!r} without a default, but e.g. point"
        remedy = f"give {write_reader(kind.value, key)}"
        if without:
            yield f"{said} {without[0].id!r} of {self.target.schema.collection!r} has no such payload: {remedy}"
        elif unreadable:
            [point, *_] = unreadable
            if instead := name_reader(key, point.payload or {}):
                remedy = f"read it by {instead}"
            what = _READ_AS.get(kind, "number")
            yield f"{said} {point.id!r} of {self.target.schema.collection!r} doesn't hold one {what} there: {remedy}"

    @cached_property
    def _reachable(self) -> models.Filter | None:
        """What every point meets that the strategy may come upon, by its own filters."""
        stages = list(self.strategy.stages())
        below = {id(candidate) for stage in stages for candidate in stage.candidates}
        return _any_of([_found_by(stage) for stage in stages if id(stage) not in below])


def _limited(options: SearchOptions, target: Target) -> SearchOptions:
    """The options, which says how many points a search may ask for if strict mode does."""
    strict = target.schema.strict
    most = strict.max_query_limit if strict is not None else None
    return options if most == options.most else replace(options, most=most)


def _keys_in(selector: models.WithPayloadInterface) -> Sequence[str]:
    match selector:
        case list(keys) | models.PayloadSelectorInclude(include=keys) | models.PayloadSelectorExclude(exclude=keys):
            return keys
        case _:
            return []


def _found_by(stage: Stage) -> models.Filter | None:
    """What every point meets that a stage finds, by its own filters and those of its candidates."""
    return both(stage.filter, _any_of([_found_by(candidate) for candidate in stage.candidates]))


def _any_of(filters: Sequence[models.Filter | None]) -> models.Filter | None:
    """What meets one of these; None if one of them lets everything through."""
    known = [filter for filter in filters if filter is not None]
    if not known or len(known) < len(filters):
        return None
    return known[0] if len(known) == 1 else models.Filter(should=list[models.Condition](known))


def _dotted(version: tuple[int, int, int]) -> str:
    major, minor, patch = version
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"

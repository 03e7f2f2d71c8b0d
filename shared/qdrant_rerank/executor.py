"""What answers steps with a real Qdrant and real encoders: `Executor`, and `AsyncExecutor` with the same methods.

Nothing here knows a strategy; only this, `schema.py`, `search.py`, `clients.py`, `ingest` and the engines touch a client.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Final, Self, TypeVar

from qdrant_client import QdrantClient, models

from .calls import Left, Retries, time_left, whole_seconds, within
from .capabilities import Capabilities
from .clients import AsyncCalls, AsyncClientLike, Clients
from .coalescing import Coalescer, ThreadCoalescer, can_share
from .engine_errors import Place, describe_failure, describe_failures
from .errors import ClientError, Lint, PlanError, QueryError, StrategyError, warn
from .explain.results import Explained
from .models.base import Reranker, RerankerLike, ascore_texts, check_scores, score_texts
from .models.encoders import AsyncEncoder, Encoder, EncoderLike, Encoders
from .models.wrappers import as_reranker
from .payload import PayloadLike, as_mapping
from .payload_schema import hide_values
from .plan import Plan, plan_on
from .query import Fingerprints, Query, Quirks, SearchOptions, Target, not_a_filter, restrict
from .request_parts import restricts
from .schema import Schema, ask_node_schema, ask_schema
from .search import (
    asend,
    check_order,
    check_vectors,
    contradicts,
    finds_nothing,
    group_arguments,
    guard,
    is_same,
    read_batch,
    read_groups,
    read_points,
    send,
)
from .steps import (
    AsyncServices,
    Calls,
    Flow,
    Points,
    QueryVector,
    Search,
    Services,
    Vectors,
    arun,
    arun_calls,
    run,
    run_calls,
    together,
)
from .strategies import Strategy
from .threads import AsyncReads, PerLoop, Reads, Workers, carrying, in_worker, refuse_strange, use_workers
from .values import identify, is_finite

R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")

SCHEMA_TTL: Final = 300.0
"""Seconds after which a collection's schema is read again."""
_UNREAD: Final = 10.0  # seconds until it is tried again, if it couldn't be read, or not whole
_PLANS_KEPT: Final = 64
_DEFAULT: Final = SearchOptions()  # one object, by which its plan is found
# what changes results is warned of once a plan is made
_WARNED_OF = (
    *("ignored-by-server", "integer-index", "feature-drift", "not-recommended", "other-text", "nameless-model"),
    "search-params-ignored",
    *("nested-under-shards", "candidates-per-shard", "idf-per-shard"),
)


_WORTH_AN_INDEX: Final = 1000  # points; with fewer nobody waits for a formula


class _Plans:
    """Plans by strategy, so that a strategy is checked once for each collection, not for each query.

    Those of a strategy and options that come again as the same objects are found at once: adapters hand on the same ones as
    long as nobody changes a setting.
    """

    def __init__(self) -> None:
        self._by_identity: OrderedDict[tuple[int, int], tuple[Strategy, Plan]] = OrderedDict()
        self._by_call: OrderedDict[tuple[int, int], tuple[Strategy, SearchOptions, Target | None, Plan]] = OrderedDict()

    def find(self, strategy: Strategy, options: SearchOptions, target: Target | None) -> Plan | None:
        """The plan of these very objects, made with what is known of the collection now."""
        known = self._by_call.get((id(strategy), id(options)))
        return known[3] if known is not None and known[2] is target else None

    def remember(self, strategy: Strategy, options: SearchOptions, target: Target | None, plan: Plan) -> None:
        """Have `find` find it, unless the options bring warnings that must be repeated on each call."""
        if options.score_threshold is None:
            _keep(self._by_call, (id(strategy), id(options)), (strategy, options, target, plan))

    def get(self, strategy: Strategy, options: SearchOptions, target: Target | None) -> Plan | None:
        if target is None:
            return None
        found = self._by_identity.get((id(strategy), _shards(options, target)))
        return None if found is None else found[1].within(options)

    def keep(self, strategy: Strategy, made: Plan) -> None:
        # holding the strategy keeps its id from being reused; by number of shards, because the warnings depend on it
        _keep(self._by_identity, (id(strategy), _shards(made.options, made.target)), (strategy, made))

    def clear(self) -> None:
        self._by_identity.clear()
        self._by_call.clear()


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    """Keep a value, and let go of the oldest beyond those that are kept."""
    kept[key] = value
    while len(kept) > _PLANS_KEPT:
        kept.popitem(last=False)


def _shards(options: SearchOptions, target: Target) -> int:
    return target.schema.shards_of(options.shard_key_selector)


class _Base:
    """What both executors hold: the clients, the encoders, and what was learned of the collection."""

    def __init__(
        self,
        client: QdrantClient | None = None,
        collection: str = "",
        *,
        async_client: AsyncClientLike | None = None,
        encoders: Encoders | Mapping[str, EncoderLike] | None = None,
        reranker: RerankerLike | None = None,
        payload: PayloadLike = "flat",
        capabilities: Capabilities | None = None,
        fixed_filter: models.Filter | None = None,
        schema_ttl: float | None = SCHEMA_TTL,
        retries: int | Retries = 0,
        coalesce: bool = True,
    ) -> None:
        """Hold on to a collection; no request is made before the first query.

        Args:
            client: a `QdrantClient`, of a server or in local mode. Over gRPC (`prefer_grpc=True`) the bare client
                made 1.7 to 2.1 times the searches of REST, and this 1.0 to 1.3 times (docs/benchmarks.md).
            collection: the collection's name.
            async_client: an `AsyncQdrantClient`, or a function that makes one for each event loop. Async calls
                without one make it from `client`.
            encoders: what embeds queries: `Encoders`, or encoders by vector name.
            reranker: the model (or a function from a query and texts to scores), for strategies that have texts scored.
            payload: where a point's text is, for the model: a preset's name, a `PayloadMapping` or a function.
            capabilities: what the server can do; asked of it if None.
            fixed_filter: only points that meet it, in every search that this executor makes for whatever reason; no call can
                leave it out or replace it, so that it is the place for a tenant. Where nothing is found, other points are
                asked for the names of their payload keys, as this filter's may be misspelt.
            retries: how often a request is made again, at most, after what may pass (see `Retries`), within the call's timeout:
                a server that is away, overloaded or asks to wait. By default no request is repeated.
            schema_ttl: seconds after which the collection's schema is read again at the next query, as an alias may have moved;
                None for never. It is read again in any case when an answer contradicts it, and before a plan is refused.
            coalesce: whether concurrent searches, of one event loop or of threads, leave in one batch while others are under
                way, on a server.

        Raises:
            ClientError: there is no client, or one of the wrong kind.
            StrategyError: `schema_ttl` is no number of seconds, or `fixed_filter` no filter.
        """
        if fixed_filter is not None and not isinstance(fixed_filter, models.Filter):
            raise StrategyError(f"fixed_{not_a_filter(fixed_filter)}")
        if fixed_filter is not None and not restricts(fixed_filter):
            raise StrategyError("fixed_filter has no condition, so that it keeps nothing out: None says that all may be found")
        check_schema_ttl(schema_ttl)
        self.workers = Workers()
        self.clients = Clients(client, async_client)
        self.collection = collection
        self.encoders = encoders if isinstance(encoders, Encoders) else Encoders.of(encoders)
        self.fixed_filter = fixed_filter
        self.reranker = None if reranker is None else as_reranker(reranker)
        self.payload = as_mapping(payload)
        self.retries = Retries.of(retries)
        self._capabilities = capabilities
        self._target: Target | None = None
        self._seen: Target | None = None
        self._warned_unindexed: set[Lint] = set()
        self._plans = _Plans()
        self._ttl = math.inf if schema_ttl is None else float(schema_ttl)
        self._read_at = 0.0
        self._true_for = self._ttl
        self._quirks = Quirks()
        self._place: tuple[Callable[[], object], Place] | None = None
        self._connected: tuple[QdrantClient, Place, int] | None = None
        self._chosen: tuple[Encoders, Schema, frozenset[str], dict[str, Encoder]] | None = None
        self._coalesces = coalesce and self.clients.engine == "server"
        self._coalescers: PerLoop[Coalescer] = PerLoop()

    def refresh(self) -> None:
        """Forget the collection's schema, e.g. after a payload index was made; it is read again at the next query."""
        self._target = None
        self._quirks = Quirks()
        self._plans.clear()

    @property
    def _current(self) -> Target | None:
        """What is known of the collection, unless it is too old."""
        return self._target if time.monotonic() - self._read_at < self._true_for else None

    def _renew(self, known: Target, schema: Schema, capabilities: Capabilities) -> Target:
        """What is known once the schema was read again: `known` itself, with its plans, where nothing changed."""
        self._read_at, self._true_for = time.monotonic(), self._ttl
        if is_same(known.schema, schema) and known.capabilities == capabilities:
            known.quirks.distrusts_indexes = False
            return known
        self._plans.clear()
        return self._learn(schema, capabilities)

    @contextmanager
    def _hold_to_time(self, options: SearchOptions | None) -> Generator[None]:
        """Hold a call to the time that it may take, and what blocks in it to the threads of this executor."""
        self.clients.check_open()
        with within(None if options is None else options.timeout), use_workers(self.workers):
            yield

    def close(self) -> None:
        """Close the clients that this made (never one that it was given) and its threads; from then on it answers nothing.

        Clients of event loops that run in other threads are closed by these.
        """
        self.clients.close()
        self.workers.close()

    async def aclose(self) -> None:
        """As `close`, and the client of the running event loop is closed when this returns."""
        await self.clients.aclose()
        self.workers.close()

    def _client_options(self, step: Search) -> dict[str, Any]:
        """What the client takes beside the requests. Engines in process can't stop, so that they get no timeout."""
        seconds = whole_seconds(step.timeout) if self.clients.engine == "server" else None
        named = models.ReadConsistencyType(step.consistency) if isinstance(step.consistency, str) else step.consistency
        return {"consistency": named, "timeout": seconds}  # over gRPC the client takes no name, only the enum

    @property
    def _reading_says(self) -> str:
        return f"reading the schema of {self.collection!r}"

    def _learn(self, schema: Schema, capabilities: Capabilities) -> Target:
        self._read_at, self._true_for = time.monotonic(), min(self._ttl, _UNREAD) if schema.unknown else self._ttl
        self._quirks = Quirks(self._quirks.several_values)  # holds for the executor, however often it reads the schema
        self._seen = target = Target(
            schema,
            capabilities,
            self.payload,
            self._quirks,
            fingerprints=self._fingerprints(schema),
            fixed_filter=self.fixed_filter,
            grpc=self.clients.grpc,
        )
        self._target = None
        if schema.points == 0:  # not kept: it may be filled any moment
            warn(f"the collection {schema.collection!r} is empty: there is nothing to find")
        else:
            self._target = target
        if schema.unknown:
            warn(
                f"a part of the cluster doesn't answer, so that the schema of {schema.collection!r} is what one node "
                f"knows: without {' and '.join(schema.unknown)}. It is read again after {_UNREAD:g} seconds"
            )
        return target

    def _prepare(self, step: Search) -> Search:
        """`step` as it is sent: within the fixed filter, and guarded against a schema that is true no longer."""
        if self.fixed_filter is not None and not step.keys_alone:
            everywhere = self.clients.engine == "local"  # which hands a filter on to all searches since 1.20 only
            step = replace(step, requests=[restrict(request, self.fixed_filter, everywhere) for request in step.requests])
        return guard(step)

    def _place_of(self, client: object) -> Place:
        """What a client calls, for what is said of failures: found out once."""
        known = self._place
        if known is None or known[0]() is not client:  # a client of an event loop ends with it: nothing here keeps it
            known = self._place = weakref.ref(client), Place.of(client, self.collection, self.clients.engine)
        return known[1]

    def _choose_encoders(self, using: frozenset[str], schema: Schema) -> dict[str, Encoder]:
        """What embeds queries for these vectors, by their names; the same as for the last query if nothing changed.

        Raises:
            QueryError: there is none for one of them.
        """
        known = self._chosen
        if known is None or known[0] is not self.encoders or known[1] is not schema or known[2] != using:
            found = {name: self.encoders.encoder(name, schema) for name in sorted(using)}
            known = self._chosen = self.encoders, schema, using, found
        return known[3]

    def _find_plan(self, strategy: Strategy, options: SearchOptions) -> Plan | None:
        """The plan of these very objects, unless what is known of the collection is too old: the way of nearly every query."""
        if time.monotonic() - self._read_at >= self._true_for:
            return None
        return self._plans.find(strategy, options, self._target)

    @property
    def _most(self) -> int | None:
        """How many requests strict mode allows in a batch; None for any number."""
        strict = None if self._seen is None else self._seen.schema.strict
        return getattr(strict, "search_max_batchsize", None)  # clients before 1.18 don't know this setting

    def _shares(self, plain: dict[int, models.QueryRequest]) -> Iterator[dict[int, models.QueryRequest]]:
        """The requests in batches of the size that strict mode allows."""
        waiting = list(plain.items())
        size = max(1, self._most or len(waiting))
        for start in range(0, len(waiting), size):
            yield dict(waiting[start : start + size])

    def _fingerprints(self, schema: Schema) -> Fingerprints:
        def find(name: str | None) -> object:
            if name is None:
                return self.reranker
            info = schema.vectors.get(name)
            return self.encoders.named.get(name) or (info and self.encoders.by_kind.get(info.kind))

        known_as: dict[int, tuple[object, str | None]] = {}  # for as long as plans are, as it may have a model's folder read

        def known(name: str | None = None) -> str | None:
            if (found := find(name)) is None:
                return None
            if id(found) not in known_as:
                known_as[id(found)] = found, identify(found)
            return known_as[id(found)][1]

        return Fingerprints(known, known, lambda name: find(name) is not None)

    def _make_and_keep(self, strategy: Strategy, options: SearchOptions, target: Target, seen: Target) -> Plan:
        made = plan_on(strategy, seen, options)
        self._warn_of(made.warnings)
        if self._target is target:  # not what another thread has read meanwhile
            self._plans.keep(strategy, made)
            self._plans.remember(strategy, options, target, made)
        return made

    def _find_kept(self, strategy: Strategy, options: SearchOptions) -> Plan | None:
        target = self._target
        kept = self._plans.get(strategy, options, target)
        if kept is not None and options.score_threshold is not None:  # the one option that a server may ignore
            self._warn_of(kept.warnings[len(kept.strategy_warnings) :])
        elif kept is not None:
            self._plans.remember(strategy, options, target, kept)
        return kept

    def _warn_of(self, lints: Sequence[Lint]) -> None:
        for warning in lints:
            if warning.code in _WARNED_OF or (warning.code == "unindexed-field" and self._wants_index(warning)):
                warn(warning)

    def _wants_index(self, warning: Lint) -> bool:
        """Whether to warn of a missing payload index: once, of collections on a server that are more than a trial."""
        points = 0 if self._seen is None else self._seen.schema.points or 0
        if self.clients.engine != "server" or points < _WORTH_AN_INDEX or warning in self._warned_unindexed:
            return False
        self._warned_unindexed.add(warning)
        return True

    # How each executor does what is written once for both, below: at once, or awaited.
    _run: Callable[..., Any]
    _run_calls: Callable[..., Any]
    _reads: Any
    _retry: Callable[..., Any]
    _open_client: Callable[[], Any]

    def _ask_plan(self, strategy: Strategy, options: SearchOptions) -> Calls[Plan]:
        moment, read_at = time.monotonic(), self._read_at
        target = yield from self._ask_target()
        try:
            return (yield from self._make_plan(strategy, options, target))
        except PlanError:
            if self._read_at != read_at or any(options.problems()):  # it was read just now, or has no part in it
                raise
            fresh = yield from self._ask_again(target, moment)
            if fresh is target:
                raise
        return (yield from self._make_plan(strategy, options, fresh))

    def _make_plan(self, strategy: Strategy, options: SearchOptions, target: Target) -> Calls[Plan]:
        if kept := self._find_kept(strategy, options):
            return kept
        try:
            seen = yield partial(self._run, _look(strategy, target, options), self)
            return self._make_and_keep(strategy, options, target, seen)
        except PlanError:
            target.quirks.forget_samples()
            raise

    def _ask_target(self) -> Calls[Target]:
        if (current := self._current) is not None:
            return current
        if (known := self._target) is not None:
            return known if self._reads.busy else (yield from self._ask_again(known, time.monotonic()))
        target: Target = yield partial(self._reads.get, lambda: self._run_calls(self._read_first()), self._reading_says)
        return target

    def _read_first(self) -> Calls[Target]:
        # unless another thread or task has just read it
        return self._current or self._learn(*(yield from self._read(first=True)))

    def _ask_again(self, known: Target, moment: float) -> Calls[Target]:
        """Read the collection again, unless another thread or task has since `moment`; return what is known of it then.

        Where it can't be read now, `known` has to do: searches may work all the same.

        Raises:
            PlanError: the collection isn't there any more.
        """
        renewed = partial(self._renew_once, known, moment)
        target: Target = yield partial(self._reads.get, lambda: self._run_calls(renewed()), self._reading_says)
        return target

    def _renew_once(self, known: Target, moment: float) -> Calls[Target]:
        if self._target is not None and (self._target.schema is not known.schema or self._read_at > moment):
            return self._target
        try:
            return self._renew(known, *(yield from self._read()))
        except PlanError:
            self.refresh()
            raise
        except Exception:
            self._read_at, self._true_for = time.monotonic(), _UNREAD  # so that not every query asks
            return known

    def _read(self, first: bool = False) -> Calls[tuple[Schema, Capabilities]]:
        client = yield self._open_client
        with describe_failures(self._place_of(client), "reading the schema of"):
            schema, capabilities = yield partial(self._retry, lambda: self._run_calls(self._read_once(client, first)))
            return schema, capabilities

    def _read_once(self, client: Any, first: bool) -> Calls[tuple[Schema, Capabilities]]:
        capabilities = self._capabilities or Capabilities.of((yield client.info).version, self.clients.engine)
        try:
            return (yield from ask_schema(client, self.collection)), capabilities
        except Exception as error:  # what was known before says more than one node
            known = (yield from ask_node_schema(client, self.collection, error)) if first else None
            if known is None:
                raise
            return known, capabilities

    def _model(self) -> Reranker:
        if self.reranker is None:
            raise ClientError("this strategy needs a reranker, but there is none: pass reranker=…")
        return self.reranker


def check_schema_ttl(value: object) -> None:
    """Check after how many seconds a schema is read again.

    Raises:
        StrategyError: it is no number of seconds, nor None.
    """
    if value is not None and not (isinstance(value, int | float) and is_finite(value) and value > 0):
        raise StrategyError(f"schema_ttl must be a number of seconds above 0, or None for never, got {value!r}")


class Executor(_Base):
    """Runs strategies on one collection with a `QdrantClient`; closed by `close()`, or at the end of a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    _run, _run_calls = staticmethod(run), staticmethod(run_calls)

    @cached_property
    def _reads(self) -> Reads[Target]:
        return Reads(self.workers)

    def _retry(self, call: Callable[[], R]) -> R:
        return self.retries.run(call)

    def _open_client(self) -> QdrantClient:
        return self.clients.sync()

    def retrieve(self, strategy: Strategy, query: Query, options: SearchOptions | None = None) -> Points:
        """The ranked points that `strategy` finds for `query`.

        Raises:
            TimeoutError: the timeout of the options was over; the message says in which step.
        """
        return self.answer(strategy, options, lambda made: made.flow(query))

    def retrieve_batch(
        self, strategy: Strategy, queries: Sequence[Query], options: SearchOptions | None = None
    ) -> list[Points]:
        """The ranked points for each query, with as many round trips as one query takes."""
        return self.answer(strategy, options, lambda made: together([made.flow(query) for query in queries]))

    def explain(self, strategy: Strategy, query: Query, options: SearchOptions | None = None) -> Explained:
        """The ranked points with the reason for each; one round trip more where points tie."""
        return self.answer(strategy, options, lambda made: made.explain(query))

    def answer(
        self,
        strategy: Strategy,
        options: SearchOptions | None,
        flow: Callable[[Plan], Flow[R]],
        services: Services | None = None,
    ) -> R:
        """The result of the flow that is made of the plan; both once more if the collection turns out to have changed.

        Args:
            strategy: what to plan.
            options: what the call asks for.
            flow: makes the flow; called again for a new plan.
            services: what answers the flow's steps, instead of this executor.
        """
        options, services = options or _DEFAULT, services or self
        if options.timeout is None and not self.clients.closed:  # nothing to hold it to, and `run` sees to the threads
            return self._answer(strategy, options, flow, services)
        with self._hold_to_time(options):
            return self._answer(strategy, options, flow, services)

    def _answer(self, strategy: Strategy, options: SearchOptions, flow: Callable[[Plan], Flow[R]], services: Services) -> R:
        made = self._find_plan(strategy, options) or self.plan(strategy, options)
        try:
            return run(flow(made), services)
        except Exception as error:
            if not contradicts(error):
                raise
            if run_calls(self._ask_again(made.target, time.monotonic())).schema is made.target.schema:
                raise
        return run(flow(self.plan(strategy, options)), services)

    def plan(self, strategy: Strategy, options: SearchOptions | None = None) -> Plan:
        """`strategy` checked against the collection, whose schema is read again before it is refused.

        Raises:
            PlanError: it doesn't fit; every problem is listed.
        """
        with self._hold_to_time(options):
            return run_calls(self._ask_plan(strategy, options or _DEFAULT))

    def target(self) -> Target:
        """The collection's schema and the server's capabilities; read at the first query, and when they are old."""
        return run_calls(self._ask_target())

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        schema = (self._seen or self.target()).schema  # what the plan was made for
        encoders, vectors = self._choose_encoders(using, schema), list[Vectors]()
        for text in texts:
            found: dict[str, QueryVector] = {}
            for name, encoder in encoders.items():
                found[name] = _encode(name, encoder, text)
            vectors.append(found)
        return vectors

    def _connect(self) -> tuple[QdrantClient, Place]:
        """The client, and what it calls; as long as none was closed, in one process, the same."""
        known = self._connected
        if known is None or self.clients.closed or known[2] != os.getpid():
            client = self.clients.sync()
            known = self._connected = client, self._place_of(client), os.getpid()
        return known[0], known[1]

    def search(self, step: Search) -> list[Points]:
        asked, (client, place) = self._prepare(step), self._connect()
        try:
            answers = self._retry_ask(client, asked, place) if self.retries.most else self._ask(client, asked, place)
        except Exception as error:
            describe_failure(error, place, "searching")
            raise
        check_order(asked, answers)
        if not all(answers) and self._seen is not None and finds_nothing(asked, answers):
            fresh = run_calls(self._ask_again(self._seen, time.monotonic()))
            check_vectors(asked, fresh.schema)
        return hide_values(answers) if step.keys_alone else answers

    def _retry_ask(self, client: QdrantClient, step: Search, place: Place) -> list[Points]:
        left = time_left(step.timeout)
        return self.retries.run(lambda: self._ask(client, _limit_time(step, left), place), left)

    def _ask(self, client: QdrantClient, step: Search, place: Place) -> list[Points]:
        settings = {} if step.timeout is None and step.consistency is None else self._client_options(step)
        if len(step.requests) == 1 and isinstance(request := step.requests[0], models.QueryRequest):
            return [read_points(self._ask_one(client, request, settings), request, place)]
        plain, groups = _split(step.requests)
        answers: dict[int, Points] = {}
        for share in self._shares(plain):
            requests = list(share.values())
            replies = send(client, self.collection, requests, settings)
            answers |= dict(zip(share, read_batch(replies, requests, place), strict=True))
        for number, grouped in groups.items():
            reply = client.query_points_groups(self.collection, **group_arguments(grouped), **settings)
            answers[number] = read_groups(reply, grouped, place)
        return [answers[number] for number in range(len(step.requests))]

    def _ask_one(self, client: QdrantClient, request: models.QueryRequest, settings: dict[str, Any]) -> Any:
        """The client's answer to one request, asked for by itself or with others that threads ask for at the same time."""
        if not self._coalesces:
            return send(client, self.collection, [request], settings)[0]
        found = self._coalescer_of.get(os.getpid()) or self._coalescer_of.setdefault(os.getpid(), self._make_coalescer(client))
        return found.search(request, settings, self._most)

    @cached_property
    def _coalescer_of(self) -> dict[int, ThreadCoalescer]:
        """By process: a forked child has none of its parent's threads, and its own client."""
        return {}

    def _make_coalescer(self, client: QdrantClient) -> ThreadCoalescer:
        return ThreadCoalescer(partial(send, client, self.collection), can_share(client))

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return check_scores(score_texts(self._model(), query, texts), len(texts), None)


class AsyncExecutor(_Base):
    """Runs strategies on one collection without blocking the event loop; closed by `aclose()`, or by `async with`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    _run, _run_calls = staticmethod(arun), staticmethod(arun_calls)

    @cached_property
    def _reads(self) -> AsyncReads[Target]:
        return AsyncReads()

    async def _retry(self, call: Callable[[], Awaitable[R]]) -> R:
        return await self.retries.arun(call)

    async def _open_client(self) -> AsyncCalls:
        await self.clients.prepare()
        return self.clients.asynchronous()

    async def retrieve(self, strategy: Strategy, query: Query, options: SearchOptions | None = None) -> Points:
        """The ranked points that `strategy` finds for `query`."""
        return await self.answer(strategy, options, lambda made: made.flow(query))

    async def retrieve_batch(
        self, strategy: Strategy, queries: Sequence[Query], options: SearchOptions | None = None
    ) -> list[Points]:
        """The ranked points for each query, with as many round trips as one query takes."""
        return await self.answer(strategy, options, lambda made: together([made.flow(query) for query in queries]))

    async def explain(self, strategy: Strategy, query: Query, options: SearchOptions | None = None) -> Explained:
        """The ranked points with the reason for each; one round trip more where points tie."""
        return await self.answer(strategy, options, lambda made: made.explain(query))

    async def answer(
        self,
        strategy: Strategy,
        options: SearchOptions | None,
        flow: Callable[[Plan], Flow[R]],
        services: AsyncServices | None = None,
    ) -> R:
        """As `Executor.answer`, without blocking the event loop."""
        options, services = options or _DEFAULT, services or self
        if options.timeout is None and not self.clients.closed:
            return await self._answer(strategy, options, flow, services)
        with self._hold_to_time(options):
            return await self._answer(strategy, options, flow, services)

    async def _answer(
        self, strategy: Strategy, options: SearchOptions, flow: Callable[[Plan], Flow[R]], services: AsyncServices
    ) -> R:
        made = self._find_plan(strategy, options) or await self.plan(strategy, options)
        try:
            return await arun(flow(made), services)
        except Exception as error:
            if not contradicts(error):
                raise
            if (await arun_calls(self._ask_again(made.target, time.monotonic()))).schema is made.target.schema:
                raise
        return await arun(flow(await self.plan(strategy, options)), services)

    async def plan(self, strategy: Strategy, options: SearchOptions | None = None) -> Plan:
        """`strategy` checked against the collection. As `Executor.plan`."""
        with self._hold_to_time(options):
            return await arun_calls(self._ask_plan(strategy, options or _DEFAULT))

    async def target(self) -> Target:
        """The collection's schema and the server's capabilities; read at the first query, and when they are old."""
        return await arun_calls(self._ask_target())

    async def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        schema = (self._seen or await self.target()).schema  # what the plan was made for
        encoders = self._choose_encoders(using, schema)
        if len(texts) == len(encoders) == 1:  # a task for it would be a turn of the loop more
            [(name, encoder)] = encoders.items()
            return [{name: await _aencode(name, encoder, texts[0])}]
        names, width = list(encoders), len(encoders)
        vectors = await asyncio.gather(*(_aencode(name, encoder, text) for text in texts for name, encoder in encoders.items()))
        return [dict(zip(names, vectors[row * width : (row + 1) * width], strict=True)) for row in range(len(texts))]

    async def search(self, step: Search) -> list[Points]:
        asked, client = self._prepare(step), self.clients.asynchronous()
        place = self._place_of(client)
        try:
            asking = self._retry_ask(client, asked, place) if self.retries.most else self._ask(client, asked, place)
            answers = await asking
        except Exception as error:
            describe_failure(error, place, "searching")
            raise
        check_order(asked, answers)
        if not all(answers) and self._seen is not None and finds_nothing(asked, answers):
            fresh = await arun_calls(self._ask_again(self._seen, time.monotonic()))
            check_vectors(asked, fresh.schema)
        return hide_values(answers) if step.keys_alone else answers

    async def _retry_ask(self, client: AsyncCalls, step: Search, place: Place) -> list[Points]:
        left = time_left(step.timeout)
        return await self.retries.arun(lambda: self._ask(client, _limit_time(step, left), place), left)

    async def _ask(self, client: AsyncCalls, step: Search, place: Place) -> list[Points]:
        settings = {} if step.timeout is None and step.consistency is None else self._client_options(step)
        if len(step.requests) == 1 and isinstance(request := step.requests[0], models.QueryRequest):
            return [read_points(await self._ask_one(client, request, settings), request, place)]
        plain, groups = _split(step.requests)
        calls = [client.query_points_groups(self.collection, **group_arguments(r), **settings) for r in groups.values()]
        batches = [self._batch(client, share, settings, place) for share in self._shares(plain)]
        batched, found = await asyncio.gather(asyncio.gather(*batches), asyncio.gather(*calls))
        answers = {number: read_groups(reply, groups[number], place) for number, reply in zip(groups, found, strict=True)}
        for batch in batched:
            answers |= batch
        return [answers[number] for number in range(len(step.requests))]

    async def _ask_one(self, client: AsyncCalls, request: models.QueryRequest, settings: dict[str, Any]) -> Any:
        """The client's answer to one request, asked for by itself or with others that are asked for at the same time."""
        if not self._coalesces:
            return (await asend(client, self.collection, [request], settings))[0]
        coalescer = self._coalescers.get(lambda: Coalescer(partial(asend, client, self.collection), can_share(client)))
        return await coalescer.search(request, settings, self._most)

    async def _batch(
        self, client: AsyncCalls, plain: dict[int, models.QueryRequest], settings: dict[str, Any], place: Place
    ) -> dict[int, Points]:
        requests = list(plain.values())
        replies = await asend(client, self.collection, requests, settings)
        return dict(zip(plain, read_batch(replies, requests, place), strict=True))

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return check_scores(await ascore_texts(self._model(), query, texts), len(texts), None)


def _look(strategy: Strategy, target: Target, options: SearchOptions) -> Flow[Target]:
    """`target`, with what only its points tell of it for this strategy."""
    if not isinstance(strategy, Strategy):  # which plan_on refuses
        return target
    return (yield from strategy.look(target, options))


def _encode(name: str, encoder: Encoder, text: str) -> QueryVector:
    try:
        return encoder.encode_query(text)
    except BaseException as error:
        refuse_strange(error, QueryError, f"the encoder for the vector {name!r}")
        raise


async def _aencode(name: str, encoder: Encoder, text: str) -> QueryVector:
    if not isinstance(encoder, AsyncEncoder):
        return await in_worker(lambda: _encode(name, encoder, text))
    with carrying(QueryError, f"the encoder for the vector {name!r}", awaits=True):
        return await encoder.aencode_query(text)


def _split(requests: Sequence[Any]) -> tuple[dict[int, models.QueryRequest], dict[int, models.QueryGroupsRequest]]:
    """Plain requests, which go out in one batch, and group requests, which can't; each by its position."""
    plain = {number: request for number, request in enumerate(requests) if isinstance(request, models.QueryRequest)}
    groups = {number: request for number, request in enumerate(requests) if number not in plain}
    return plain, groups


def _limit_time(step: Search, left: Left) -> Search:
    """`step` with what is left of its time, for a request that is made again."""
    seconds = left()
    return step if seconds is None else replace(step, timeout=max(seconds, 0.0))

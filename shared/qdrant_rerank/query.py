"""What one call brings: the question, what is asked, what it is asked of; and the query embedded and checked."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from qdrant_client import models

from .calls import timeout_problem
from .capabilities import ABILITIES, Capabilities
from .errors import QueryError, did_you_mean
from .expressions.nodes import in_utc
from .expressions.view import Index, View
from .payload import PRESETS, AnyMapping
from .request_parts import abilities_of
from .schema import Schema, VectorInfo
from .steps import Embed, Flow, QueryVector, Request, Shared, Vectors
from .values import LARGEST, MOST_GROUPED, as_list, brief, identify, is_finite, is_whole


@dataclass(frozen=True)
class Query:
    """One question.

    Attributes:
        text: as the framework passes it; needed only if a vector has to be embedded or a model reads it.
        vectors: query vectors that the caller has, by vector name (`""` is the unnamed one); they are not embedded
            again. A `models.Document` is embedded by the server.
        params: request-time values by name, for `param(name)` in formulas.
        now: what `now()` means; the time of the call if None.
    """

    text: str = ""
    vectors: Mapping[str, QueryVector] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    now: dt.datetime | None = None


@dataclass(frozen=True)
class SearchOptions:
    """What one call asks for, beside the query: how many points, and from where.

    Attributes:
        limit: how many points to return (groups, with `group_by`).
        filter: AND-ed with the strategy's own filters; reaches every candidate stage.
        score_threshold: the score that the final stage must reach (for Euclid and Manhattan: must not exceed).
        offset: how many of the best points to skip.
        search_params: HNSW and quantisation parameters for the final stage, over the stage's own. A formula or fusion searches
            nothing itself: its candidates have their own.
        shard_key_selector: custom shards to search.
        consistency: read consistency across replicas: how many must agree, or "majority", "quorum", "all".
        timeout: seconds for the whole call, e.g. 0.5: embedding, reading the schema, all searches, reranking. A call that takes
            longer ends in a `TimeoutError`. None for no limit but the client's own for each request.
        with_payload: True, False, a list of keys, or a `models.PayloadSelector`.
        with_vectors: as `with_payload`, for the stored vectors.
        group_by: a payload key; return at most `group_size` points for each of its values, for `limit` values.
        group_size: see `group_by`.
        stable_ties: whether points of equal score come in the order of their ids, call for call; they come in random order
            otherwise. Fetches 32 points more.
        most: how many points a search may ask for, where strict mode says so; a plan fills it in.
        page: by how many points the candidates without a limit go (they hand on 100, or as many as that if it is more), where
            a call fetches more than it shows; the limit if None. It doesn't grow with the offset, so that all pages are cut
            from the same ranking.
    """

    limit: int = 10
    filter: models.Filter | None = None
    score_threshold: float | None = None
    offset: int | None = None
    search_params: models.SearchParams | None = None
    shard_key_selector: models.ShardKeySelector | None = None
    consistency: models.ReadConsistency | None = None
    timeout: float | None = None
    with_payload: models.WithPayloadInterface = True
    with_vectors: models.WithVector = False
    group_by: str | None = None
    group_size: int = 1
    stable_ties: bool = False
    page: int | None = field(default=None, compare=False)
    most: int | None = field(default=None, compare=False)

    @property
    def needed(self) -> int:
        """How many points the final stage must have to choose from, wherever the page starts."""
        return self.limit if self.page is None else self.page

    @property
    def hits(self) -> int:
        """How many points the groups that a call asks for hold, if they are full."""
        return self.limit * self.group_size

    @property
    def reach(self) -> int:
        """How many points the final stage has to rank: those returned and those skipped."""
        return self.limit + (self.offset or 0)

    def problems(self) -> Iterator[str]:
        """What is wrong with these options in themselves."""
        if not is_whole(self.limit, 1):
            yield f"limit must be a whole number of at least 1, got {self.limit!r}"
        elif self.limit > LARGEST:
            yield f"limit must be at most {LARGEST:,}, got {self.limit:,}"
        if self.offset is not None and not is_whole(self.offset, 0):
            yield f"offset must be a whole number of at least 0, got {self.offset!r}"
        elif self.offset is not None and self.offset > LARGEST:
            yield f"offset must be at most {LARGEST:,}, got {self.offset:,}"
        if self.page is not None and not is_whole(self.page, 1):
            yield f"page must be a whole number of at least 1, got {self.page!r}"
        if self.filter is not None and not isinstance(self.filter, models.Filter):
            yield not_a_filter(self.filter)
        if self.score_threshold is not None and not is_finite(self.score_threshold):
            yield f"score_threshold must be a finite number, got {self.score_threshold!r}"
        if self.search_params is not None and not isinstance(self.search_params, models.SearchParams):
            yield f"search_params must be a qdrant_client.models.SearchParams, got {self.search_params!r}"
        known = [each.value for each in models.ReadConsistencyType]
        if self.consistency is not None and not is_whole(self.consistency, 1) and self.consistency not in known:
            names = ", ".join(map(repr, known))
            yield f"consistency must be a whole number of replicas of at least 1, or one of {names}, got {self.consistency!r}"
        if problem := timeout_problem(self.timeout):
            yield problem
        if self.group_by is not None and self.offset:
            yield "offset can't be combined with group_by: Qdrant's group query has no offset"
        if not isinstance(self.stable_ties, bool):
            yield f"stable_ties must be True or False, got {self.stable_ties!r}"
        elif self.stable_ties and self.group_by is not None:
            yield "stable_ties can't be combined with group_by: groups are put together by Qdrant"
        if not is_whole(self.group_size, 1):
            yield f"group_size must be a whole number of at least 1, got {self.group_size!r}"
        elif self.group_by is not None and is_whole(self.limit, 1) and self.limit * self.group_size > MOST_GROUPED:
            yield f"limit times group_size must be at most {MOST_GROUPED:,}, got {self.limit * self.group_size:,}"


@dataclass(frozen=True)
class Sample:
    """Payloads of random points, cut to the keys that a formula reads.

    Attributes:
        payloads: one for each point.
        gone: key → the kind of value that no point has there, e.g. `number`.
        there: the payload keys that there are; empty where none is gone.
        instead: key → the value that points have there instead, e.g. `text, e.g. 'four'`, for those of `gone` that are there.
        chosen: whether the points were chosen by their ids, so that their values show no distribution.
    """

    payloads: Sequence[Mapping[str, Any]]
    gone: Mapping[str, str]
    there: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict[str, str])
    chosen: bool = False


@dataclass
class Quirks:
    """What only searching shows of a collection.

    Attributes:
        several_values: whether points hold lists of several values under keys that formulas read.
        distrusts_indexes: whether an index of numbers that the schema has didn't keep what it should: it may be gone since.
        samples: payloads of random points, by the call's filter and by what learned formulas read of them; the latest few.
        payloads: some random points' whole payloads, once they were looked at.
        key_types: payload key → types of the values that some random points have there, once they were looked at: within the
            fixed filter (under False), and whatever that is (under True).
        sampled: how many points those were.
        checked: which keys, and as what, were looked for in it.
    """

    several_values: bool = False
    distrusts_indexes: bool = False
    samples: dict[tuple[str, ...], Sample] = field(default_factory=dict)
    payloads: tuple[Mapping[str, Any], ...] = ()
    key_types: dict[bool, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    sampled: dict[bool, int] = field(default_factory=dict)
    checked: set[tuple[str, ...]] = field(default_factory=set)

    def forget_samples(self) -> None:
        """Have points looked at again: what they lacked may be there next time."""
        self.samples.clear()
        self.payloads = ()


@dataclass(frozen=True)
class Fingerprints:
    """What tells the models beside Qdrant apart; functions, as the answer may take reading a model's folder.

    `encoder` is asked by vector name; None means that there is no model, or that nothing tells it from others. `present`
    says which of both: it is asked by vector name for an encoder, and with None for the reranker.
    """

    reranker: Callable[[], str | None] = lambda: None
    encoder: Callable[[str], str | None] = lambda name: None
    present: Callable[[str | None], bool] = lambda name: False


@dataclass(frozen=True)
class Target:
    """What a strategy is to run on.

    Attributes:
        schema: the collection's.
        capabilities: the server's.
        payload: where the text is, for models that read it.
        quirks: what was found out while searching.
        fingerprints: of the models beside Qdrant, for strategies that were fitted to certain ones.
        fixed_filter: what every point has to meet, in all that is searched; the executor sees to it.
        samples: those of `quirks.samples` that the call's filter lets through, by what learned formulas read of them.
        grpc: whether searches are sent over gRPC, which takes less than REST.
    """

    schema: Schema
    capabilities: Capabilities
    payload: AnyMapping = PRESETS["flat"]
    quirks: Quirks = field(default_factory=Quirks, compare=False, repr=False)
    fingerprints: Fingerprints = field(default_factory=Fingerprints, compare=False, repr=False)
    fixed_filter: models.Filter | None = None
    samples: Mapping[tuple[str, ...], Sample] = field(default_factory=dict, compare=False, repr=False)
    grpc: bool = False

    @property
    def view(self) -> View:
        """How the engine sees payload."""
        params = self.schema.index_params
        indexes = {key: Index(kind, params.get(key)) for key, kind in self.schema.indexes.items()}
        return View(self.capabilities, indexes, self.thorough)

    def identify(self, vectors: Iterable[str], *, reads: bool = False) -> dict[str, str | None]:
        """What else the results of a strategy depend on, for files that keep them: encoders, reranker, payload, fixed filter.

        None stands beside what nothing tells from others.

        Args:
            vectors: those that queries are embedded for.
            reads: whether the reranker reads texts.
        """
        known = self.fingerprints
        found = {f"the encoder of {name!r}": known.encoder(name) for name in sorted(vectors) if known.present(name)}
        if reads:
            found |= {"the reranker": known.reranker(), "the payload mapping": identify(self.payload)}
        if self.fixed_filter is not None:
            found["the fixed filter"] = self.fixed_filter.model_dump_json(exclude_none=True)
        return found

    @property
    def thorough(self) -> bool:
        """Whether formulas have to make sure that a payload key holds just one value (see `search.search`)."""
        return self.capabilities.engine == "local" or self.quirks.several_values


@dataclass(frozen=True)
class Inputs:
    """What a request is built from, beside the strategy and its options.

    `leaf_filter` is what every search below the root must be filtered by, for engines that don't hand the root's filter on.
    `steering` is what a `FeedbackCandidates` asks, once the seeds are scored.
    """

    target: Target
    vectors: Vectors = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    now: dt.datetime | None = None
    leaf_filter: models.Filter | None = None
    steering: models.QueryInterface | None = None


def check_params(params: object) -> None:
    """Refuse request-time values that are no mapping. Raises QueryError."""
    if not isinstance(params, Mapping):
        raise QueryError(f"params= is a map of name to value, e.g. {{'budget': 3}}; got {brief(params)}")


def check_query(query: Query) -> None:
    """Refuse a time or request-time values of the wrong kind. Raises QueryError, which says what they should be."""
    check_params(query.params)
    if query.now is None:
        return
    if not isinstance(query.now, dt.datetime):
        raise QueryError(f"now= is a datetime.datetime, e.g. datetime.now(timezone.utc); got {brief(query.now)}")
    try:
        in_utc(query.now)
    except OverflowError:
        raise QueryError(f"now= must be between the years 1 and 9999 in UTC, got {query.now!r}") from None


def query_token_counts(names: Iterable[str | None], inputs: Inputs) -> dict[str, int]:
    """How many token vectors the query has for each of these vectors that is a multivector.

    It is 1 where the query isn't embedded yet, and there is none where the server embeds it: only the server knows.
    """
    counts: dict[str, int] = {}
    for name in names:
        info = None if name is None else inputs.target.schema.vectors.get(name)
        if name is None or info is None or info.kind != "multi":
            continue
        vector = inputs.vectors.get(name)
        if vector is None or isinstance(vector, list):
            counts[name] = 1 if vector is None else len(vector)
    return counts


def both(own: models.Filter | None, call: models.Filter | None) -> models.Filter | None:
    """The filter that asks for both; either may be None."""
    if own is None or call is None:
        return own or call
    return models.Filter(must=[own, call])


def seal(filter: models.Filter | None) -> models.Filter | None:
    """`filter` in a form that keeps its meaning between the levels of a request.

    Qdrant hands filters down to the candidates by concatenating their clauses; two `should` (or `min_should`) would
    become alternatives of each other, and points that meet only one of the filters would be found.
    """
    if filter is None or not (filter.should or filter.min_should):
        return filter
    return models.Filter(must=[filter])


def not_a_filter(value: object) -> str:
    """The message for something that isn't a filter."""
    return (
        f"filter must be a qdrant_client.models.Filter, got {type(value).__name__} {brief(value)}; e.g. "
        "models.Filter(must=[models.FieldCondition(key='category', match=models.MatchValue(value='news'))])"
    )


# The query embedded


def embed_query(query: Query, needs: frozenset[str], target: Target) -> Flow[Inputs]:
    """What requests are built from; embeds the query only for the vectors that it doesn't bring along.

    Raises QueryError where a vector isn't in the collection or doesn't fit, or there is no text to embed.
    """
    if query.params != {} or query.now is not None:
        check_query(query)
    vectors: dict[str, QueryVector] = {}
    missing = needs
    if query.vectors:
        _check_names(query, target.schema)
        vectors = {name: query.vectors[name] for name in sorted(needs) if name in query.vectors}
        missing = needs.difference(vectors)
    if missing:
        if not isinstance(query.text, str) or not query.text.strip():
            listed = ", ".join(map(repr, sorted(missing)))
            raise QueryError(f"the query's text is empty ({query.text!r}): there is nothing to embed for {listed}")
        if not query.text.isascii():
            _check_whole(query.text)
        embedded: list[Vectors] = yield Embed([query.text], missing)  # `yield from` is a generator more
        vectors |= embedded[0]
    try:
        for name, vector in vectors.items():
            vectors[name] = check_vector(name, vector, target.schema.vectors[name])
            if isinstance(vector, _INFERENCE):
                _check_inference(vector, target)
    except QueryError as error:
        error.against_schema = True
        raise
    return Inputs(target, vectors, query.params, query.now or dt.datetime.now(dt.UTC))


def _check_inference(vector: QueryVector, target: Target) -> None:
    """Refuse what the server is to embed and doesn't know, which gRPC would drop."""
    for ability in abilities_of([vector]):
        if not target.capabilities.supports(ability):
            said = ABILITIES[ability]
            since = ".".join(map(str, said.since[:2]))
            raise QueryError(f"{said.says} need Qdrant {since}; this is {target.capabilities}: embed the query here")


def _check_names(query: Query, schema: Schema) -> None:
    for name in query.vectors:
        if name not in schema.vectors:
            there = f"the collection {schema.collection!r} has {schema.describe_vectors()}{did_you_mean(name, schema.vectors)}"
            error = QueryError(f"the query brings a vector for {name!r}, but {there}")
            error.against_schema = True
            raise error


def _check_whole(text: str) -> None:
    """Refuse half a character (a lone surrogate), which no UTF-8 text can hold: no model or server takes it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise QueryError(
            f"the query's text has half a character in it ({half!r}, at {error.start + 1}): {brief(text)}"
        ) from None


_F32 = 3.4028234663852886e38
_INFERENCE = (models.Document, models.Image, models.InferenceObject)


def check_vector(name: str, vector: Any, info: VectorInfo) -> QueryVector:
    """`vector` in the shape that Qdrant takes for the collection's vector `name`.

    Dense vectors may be any sequence of numbers (numpy arrays too), multivectors any sequence of those. Raises QueryError where
    it is of another kind or dimension, or holds numbers that aren't finite.
    """
    if isinstance(vector, _INFERENCE):
        return vector  # the server embeds it, and checks what comes out
    if hasattr(vector, "tolist"):
        vector = vector.tolist()
    match info.kind:
        case "dense":
            return _dense(name, vector, info)
        case "multi":
            return _multi(name, vector, info)
        case "sparse":
            return _sparse(name, vector)
    assert_never(info.kind)


def _dense(name: str, vector: Any, info: VectorInfo) -> list[float]:
    if not isinstance(vector, Sequence) or isinstance(vector, str) or (len(vector) and isinstance(vector[0], Sequence)):
        raise QueryError(f"the vector {name!r} is {info}: the query must bring a list of numbers, got {_shape(vector)}")
    return _numbers(name, vector, info)


def _multi(name: str, vector: Any, info: VectorInfo) -> list[list[float]]:
    if isinstance(vector, Sequence) and not isinstance(vector, str):
        vector = [row.tolist() if hasattr(row, "tolist") else row for row in vector]
    if not isinstance(vector, list) or not vector or not all(isinstance(row, Sequence) for row in vector):
        raise QueryError(f"the vector {name!r} is a {info}: the query must bring a list of vectors, got {_shape(vector)}")
    return Shared(_numbers(name, row, info) for row in vector)


def _sparse(name: str, vector: Any) -> models.SparseVector:
    indices, values = getattr(vector, "indices", None), getattr(vector, "values", None)
    if indices is None or values is None or callable(values):
        raise QueryError(
            f"the vector {name!r} is sparse: the query must bring a models.SparseVector, got {_shape(vector)}; "
            "is a dense embedding model set for it?"
        )
    if len(indices) != len(values):
        raise QueryError(
            f"the query's vector for {name!r} has {len(indices)} indices and {len(values)} values: they go in pairs"
        )
    numbers = [float(value) for value in values]
    if not math.isfinite(sum(numbers)):
        raise QueryError(f"the query's vector for {name!r} holds numbers that aren't finite")
    _check_range(name, numbers)
    places = [int(index) for index in indices]
    if places and not 0 <= min(places) <= max(places) <= LARGEST:
        raise QueryError(f"the query's vector for {name!r} has an index beyond those of sparse vectors, 0 to {LARGEST:,}")
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise QueryError(f"the query's vector for {name!r} has the index {twice} more than once: add up its values")
    return models.SparseVector(indices=places, values=numbers)


def _numbers(name: str, vector: Sequence[Any], info: VectorInfo) -> list[float]:
    try:
        total = sum(vector)  # adds only if all are numbers, and isn't finite if one isn't: the cheapest way to look at all
    except TypeError:
        raise QueryError(f"the query's vector for {name!r} holds something that isn't a number: {_shape(vector)}") from None
    if info.size is not None and len(vector) != info.size:
        raise QueryError(
            f"the vector {name!r} has {info.size} dimensions, the query's has {len(vector)}: "
            "is this the embedding model that the collection was filled with?"
        )
    if not math.isfinite(total):
        raise QueryError(f"the query's vector for {name!r} holds numbers that aren't finite")
    if not math.hypot(*vector) <= _F32:  # no number is larger than the length, which takes a sixth of looking for the largest
        _check_range(name, vector)
    return Shared(vector if type(total) is float else map(float, vector))


def _check_range(name: str, numbers: Sequence[Any]) -> None:
    if numbers and not -_F32 <= min(numbers) <= max(numbers) <= _F32:
        raise QueryError(f"the query's vector for {name!r} holds numbers beyond 32-bit floats, which reach to 3.4e38")


def _shape(vector: Any) -> str:
    if isinstance(vector, models.SparseVector):
        return f"a sparse vector of {len(vector.indices)} entries"
    if isinstance(vector, Sequence) and not isinstance(vector, str):
        inner = (
            "vectors" if len(vector) and isinstance(vector[0], Sequence) else type(vector[0]).__name__ if vector else "nothing"
        )
        return f"a list of {len(vector)} ({inner})"
    return f"{type(vector).__name__} {vector!r}"[:200]


def restrict(request: Request, only: models.Filter | None, everywhere: bool) -> Request:
    """`request`, of which no search finds points that don't meet `only`; a copy, unless it is None.

    An engine that hands the root's filter on needs it there; others `everywhere`, at every search of the request.
    """
    if only is None:
        return request
    update: dict[str, Any] = {"filter": seal(both(request.filter, only))}
    if everywhere and request.prefetch:
        update["prefetch"] = [_restrict_prefetch(each, only) for each in as_list(request.prefetch)]
    return request.model_copy(update=update)


def _restrict_prefetch(prefetch: models.Prefetch, only: models.Filter) -> models.Prefetch:
    inner = [_restrict_prefetch(each, only) for each in as_list(prefetch.prefetch)] or None
    return prefetch.model_copy(update={"filter": seal(both(prefetch.filter, only)), "prefetch": inner})

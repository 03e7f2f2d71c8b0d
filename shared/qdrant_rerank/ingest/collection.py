"""The collection that encoders and a strategy need: made if it isn't there, checked if it is; the indexes it wants; and
vectors that the points of a collection get when they are stored already.

An index answers conditions by what it keeps; what that changes is said here, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, cast

from qdrant_client import QdrantClient, models

from ..calls import INGEST, Retries
from ..capabilities import Capabilities, engine_of
from ..engine_errors import Place, describe_failures, read_failure
from ..errors import PlanError, StrategyError, did_you_mean, warn
from ..executor import Executor
from ..expressions.inspect import field_conditions
from ..expressions.view import path_problem
from ..formula_limits import demands_indexes, knows_phrases
from ..models.encoders import Encoder, EncoderLike, as_encoder
from ..payload import AnyMapping, PayloadLike, as_mapping, read_texts
from ..payload_mistakes import find_mistakes
from ..query import SearchOptions, Target
from ..schema import Schema, VectorInfo, read_schema
from ..steps import run
from ..strategies import Strategy
from .documents import Document
from .writing import (
    check_batch_size,
    check_multivectors,
    describe_size,
    encode_batch,
    plain_id,
    probe_encoder,
    shard_argument,
    split_points,
)

_Type = models.PayloadSchemaType
_BOTH: Final = {
    # an integer index would hide numbers with decimals from formulas; matches of whole numbers are right with either
    frozenset({_Type.FLOAT, _Type.INTEGER}): _Type.FLOAT,
    # without a full-text index, a text match looks for the text as a whole; exact matches are right with either
    frozenset({_Type.TEXT, _Type.KEYWORD}): _Type.TEXT,
}
"""The index that serves both uses of a key, where there is one."""


def requirements(strategy: Strategy) -> dict[str, models.PayloadSchemaType]:
    """The payload indexes that make a strategy fast: key → type, for each key that its formulas and filters read.

    Numbers get a float index, since an integer index would hide numbers with decimals from formulas. Keys of raw
    expressions are left out, as are conditions that don't tell their type: they work without an index, but slowly.

    Raises:
        StrategyError: one key is read as two types that no index serves both.
    """
    found: dict[str, models.PayloadSchemaType] = {}
    for stage in strategy.stages():
        for key in stage.own_keys():
            if key.index is None:
                continue
            known = found.setdefault(key.key, key.index)
            if known != key.index:
                found[key.key] = _for_both(key.key, known, key.index)
    return found


def indexes_to_avoid(strategy: Strategy) -> dict[str, str]:
    """Keys that are to have no index, and why."""
    return {
        field.key: "an index would hide values of other types from `except`"
        for field in _conditions(strategy)
        if isinstance(field.match, models.MatchExcept)
    }


def index_schema(
    strategy: Strategy, key: str, kind: models.PayloadSchemaType
) -> models.PayloadSchemaType | models.TextIndexParams:
    """The index to make on a key; full-text indexes know phrases only with `phrase_matching`."""
    if kind != _Type.TEXT or key not in phrase_keys(strategy):
        return kind
    return models.TextIndexParams(type=models.TextIndexType.TEXT, phrase_matching=True)


def phrase_keys(strategy: Strategy) -> set[str]:
    """The keys on which a condition matches a phrase."""
    return {field.key for field in _conditions(strategy) if isinstance(field.match, models.MatchPhrase)}


def changes(kind: models.PayloadSchemaType) -> str:
    """How conditions on a key match otherwise once it has the index; "" if they don't."""
    if kind == _Type.TEXT:
        return "it compares whole words, capitals or not; without it servers before 1.20 look for the text as it stands"
    if kind == _Type.INTEGER:
        return "3.0 now matches 3, and numbers with decimals match nothing"
    return ""


def _conditions(strategy: Strategy) -> Iterator[models.FieldCondition]:
    return (
        field for stage in strategy.stages() for condition in stage.own_conditions() for field in field_conditions(condition)
    )


def _for_both(key: str, one: models.PayloadSchemaType, other: models.PayloadSchemaType) -> models.PayloadSchemaType:
    if frozenset({one, other}) in _BOTH:
        return _BOTH[frozenset({one, other})]
    raise StrategyError(
        f"the strategy reads the payload key {key!r} as {one.value} and as {other.value}, but a key has one index: "
        "store one of the two under another key"
    )


def ensure_collection(
    client: QdrantClient,
    collection: str,
    encoders: Mapping[str, EncoderLike],
    *,
    strategy: Strategy | None = None,
    distance: models.Distance = models.Distance.COSINE,
    multivectors: Collection[str] = (),
    on_disk: bool | None = None,
    shard_number: int | None = None,
) -> list[str]:
    """Make the collection that `encoders` fill and `strategy` searches, or check the one that is there.

    Args:
        client: a `QdrantClient`, of a server or in local mode.
        collection: the collection's name.
        encoders: by vector name. Their `kind`, `size` and `idf` decide what is made (see `Encoder`); a short text is
            embedded to find out what they don't say.
        strategy: makes the payload indexes that it reads (not in local mode, which has none), and is checked against
            the vectors before anything is made.
        distance: how dense vectors and multivectors are compared, in a new collection.
        multivectors: names of vectors that are to hold several vectors for each point, where the encoder doesn't say so.
            Multivectors are compared by MaxSim and get no HNSW graph: they are for rescoring.
        on_disk: whether a new collection keeps its vectors on disk.
        shard_number: shards of a new collection.

    Returns:
        What was done, in sentences.

    Raises:
        PlanError: the collection is there but its vectors aren't these, or the strategy doesn't fit; lists everything.
        StrategyError: an encoder doesn't say what it makes, or the strategy needs contradictory indexes.
    """
    ready = {name: as_encoder(encoder) for name, encoder in encoders.items()}
    check_multivectors(multivectors, ready)
    made = {name: probe_encoder(name, encoder, multivectors, distance) for name, encoder in ready.items()}
    with describe_failures(Place.of(client, collection), "reading the schema of"):
        there = read_schema(client, collection) if client.collection_exists(collection) else None
    exists = there is not None
    schema = there or Schema(collection, require_known(made, ready))
    problems = list(find_differences(schema, made, ready)) if exists else []
    if strategy is not None:
        requirements(strategy)  # contradictory ones are an error before anything is made
        target = Target(schema, Capabilities.of(client.info().version, engine_of(client)))
        problems.extend(strategy.resolve(schema).problems(target))
    if problems:
        raise PlanError(dict.fromkeys(problems))
    if exists:
        done = [f"the collection {collection!r} is there, with {schema.describe_vectors()}"]
    else:
        _create(client, schema, on_disk, shard_number)
        done = [f"made the collection {collection!r} with {schema.describe_vectors()}"]
    return done if strategy is None else [*done, *ensure_indexes(client, collection, strategy)]


def ensure_indexes(client: QdrantClient, collection: str, strategy: Strategy) -> list[str]:
    """Make the payload indexes that `strategy` reads and that the collection lacks; see `requirements`.

    Indexes of another type are left as they are. No index is made that would hide values from a condition. What is left,
    and how an index changes what a condition matches, is said. A sample of points tells keys that no point has, and values
    of another type than is read: a `PlanWarning`. Local mode has no payload indexes.

    Returns:
        What was done, in sentences.

    Raises:
        PlanError: there is no such collection, or a key is no payload path.
        StrategyError: the strategy reads one key as two types that no index serves both.
    """
    needed = requirements(strategy)
    if problems := [problem for key in needed if (problem := path_problem(key))]:
        raise PlanError(problems)
    schema = read_schema(client, collection)
    if schema.points:  # an empty one shows nothing yet
        target = Target(schema, Capabilities.of(client.info().version, engine_of(client)))
        for mistake in run(find_mistakes(strategy, SearchOptions(), target), Executor(client, collection, retries=INGEST)):
            warn(mistake)
    refused = {} if demands_indexes(schema) else indexes_to_avoid(strategy)
    needed = {key: kind for key, kind in needed.items() if key not in refused}
    if engine_of(client) == "local" and needed:
        listed = ", ".join(f"{key!r} ({kind.value})" for key, kind in needed.items())
        return [f"local mode has no payload indexes; on a server there would be: {listed}"]
    done = [f"made no index on {key!r}: {why}" for key, why in refused.items() if key not in schema.indexes]
    for key, kind in needed.items():
        there = schema.indexes.get(key)
        if there is None:
            made = index_schema(strategy, key, kind)
            make = partial(client.create_payload_index, collection, field_name=key, field_schema=made, wait=True)
            with describe_failures(Place.of(client, collection), f"making the index on {key!r} of"):
                INGEST.run(make)
            says, change = " (with phrase_matching)" if made is not kind else "", changes(kind)
            done.append(f"made the {kind.value} index on {key!r}{says}{': ' if change else ''}{change}")
        elif there == kind == models.PayloadSchemaType.TEXT and key in phrase_keys(strategy) and not knows_phrases(schema, key):
            done.append(
                f"left the text index on {key!r} as it is, which knows no phrases, so that they match nothing: "
                "make it anew with phrase_matching=True"
            )
        elif there != kind:
            done.append(
                f"left the {there.value} index on {key!r} as it is; the strategy is best served by a {kind.value} index"
            )
    return done


def require_known(made: Mapping[str, VectorInfo | None], encoders: Mapping[str, Encoder]) -> dict[str, VectorInfo]:
    """What the encoders make, if that is known of all of them."""
    if not made:
        raise StrategyError("a collection needs at least one vector: pass encoders={'dense': …}")
    known = {name: info for name, info in made.items() if info is not None}
    for name in made.keys() - known.keys():
        raise StrategyError(
            f"the encoder for {name!r} leaves embedding to the server, so it has to say what comes out: e.g. "
            f"ServerInference(model, kind='dense', size=384), or kind='sparse', idf=True for BM25; got {encoders[name]!r}"
        )
    return known


def find_differences(schema: Schema, made: Mapping[str, VectorInfo | None], encoders: Mapping[str, Encoder]) -> Iterator[str]:
    """Where the collection isn't what the encoders fill."""
    for name, info in made.items():
        there = schema.vectors.get(name)
        if there is None:
            hint = did_you_mean(name, schema.vectors)
            yield f"no vector named {name!r}; the collection {schema.collection!r} has {schema.describe_vectors()}{hint}"
        elif info is not None and (info.kind, info.size) != (there.kind, there.size):
            yield f"the vector {name!r} of {schema.collection!r} is {there}, but its encoder makes {describe_size(info)}"
        elif there.kind == "sparse" and (idf := getattr(encoders[name], "idf", None)) is not None and idf != there.idf:
            modifier = "models.Modifier.IDF" if idf else "models.Modifier.NONE"
            yield (
                f"the vector {name!r} of {schema.collection!r} is {'without' if idf else 'with'} the IDF modifier, which its "
                f"encoder {'needs' if idf else 'must not have'}: client.update_collection({schema.collection!r}, "
                f"sparse_vectors_config={{{name!r}: models.SparseVectorParams(modifier={modifier})}})"
            )


def _create(client: QdrantClient, schema: Schema, on_disk: bool | None, shard_number: int | None) -> None:
    dense = {name: _dense_params(info, on_disk) for name, info in schema.vectors.items() if info.kind != "sparse"}
    sparse = {name: _sparse_params(info, on_disk) for name, info in schema.vectors.items() if info.kind == "sparse"}
    vectors: Any = dense[""] if list(dense) == [""] else dense  # the unnamed vector
    calls = 0

    def create() -> None:
        nonlocal calls
        calls += 1
        try:
            client.create_collection(
                schema.collection, vectors_config=vectors, sparse_vectors_config=sparse or None, shard_number=shard_number
            )
        except Exception as error:
            if calls == 1 or read_failure(error).kind != "already there":
                raise  # later, it is there because an earlier call came through, whose answer did not

    with describe_failures(Place.of(client, schema.collection), "making the collection"):
        INGEST.run(create)


def _dense_params(info: VectorInfo, on_disk: bool | None) -> models.VectorParams:
    assert info.size is not None
    assert info.distance is not None
    params = models.VectorParams(size=info.size, distance=info.distance, on_disk=on_disk)
    if info.kind == "multi":
        params.multivector_config = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        params.hnsw_config = models.HnswConfigDiff(m=0)  # only rescores: a graph would cost much and serve nothing
    return params


def _sparse_params(info: VectorInfo, on_disk: bool | None) -> models.SparseVectorParams:
    index = None if on_disk is None else models.SparseIndexParams(on_disk=on_disk)
    return models.SparseVectorParams(modifier=models.Modifier.IDF if info.idf else None, index=index)


_SINCE: Final = (1, 18, 0)


@dataclass(frozen=True)
class AddedVectors:
    """What `add_vectors` did.

    Attributes:
        done: in sentences, which vectors the collection was given.
        written: by vector name, how many points got theirs.
        empty: points that got none, as they have no text, or none that the encoder keeps, such as stop words alone. They are
            looked at again next time.
        seconds: how long it took.
    """

    done: tuple[str, ...]
    written: Mapping[str, int]
    empty: tuple[int | str, ...]
    seconds: float


def add_vectors(
    client: QdrantClient,
    collection: str,
    encoders: Mapping[str, EncoderLike],
    *,
    payload: PayloadLike = "flat",
    distance: models.Distance = models.Distance.COSINE,
    multivectors: Collection[str] = (),
    batch_size: int = 64,
    on_progress: Callable[[str, int], None] | None = None,
    retries: int | Retries = INGEST,
) -> AddedVectors:
    """Give every point of a collection the vectors that it lacks, made of the text in its payload.

    The collection gets a vector of each name that it doesn't have. Payload, ids and the other vectors stay as they are, and
    searches go on meanwhile. Points that have a vector of the name keep it, so that a run that was killed goes on where it was.

    Args:
        client: a `QdrantClient`, of a server (1.18 or later) or in local mode, or an `EdgeClient`.
        collection: must be there.
        encoders: by vector name, e.g. `{"bm25": Bm25()}`.
        payload: where a point's text is, as retrievers take it: "langchain", "llama_index", "flat", a `PayloadMapping`, or a
            function from payload to `(text, metadata)`.
        distance: how dense vectors and multivectors that are new to the collection are compared.
        multivectors: names of vectors that are to hold several vectors for each point, where the encoder doesn't say so.
        batch_size: points in one request; a batch that would exceed what REST takes (32 MB) is sent in parts.
        on_progress: is called after each batch with the vector's name and the number of points that have got it so far.
        retries: how often a request is made again at most; a `Retries` says how long to pause as well.

    Raises:
        PlanError: there is no such collection, its vector of a name is another than the encoder makes, or this Qdrant can't
            add vectors. Nothing is changed then.
        PayloadError: no point has text where `payload` looks. Nothing is changed then.
        IngestError: an encoder failed; what was written before stays.
        StrategyError: an argument can't be.
    """
    size, mapping, started, policy = check_batch_size(batch_size), as_mapping(payload), time.monotonic(), Retries.of(retries)
    ready = {name: as_encoder(encoder) for name, encoder in encoders.items()}
    if not ready:
        raise StrategyError("there is nothing to add: pass encoders={'bm25': Bm25()}")
    check_multivectors(multivectors, ready)
    with describe_failures(Place.of(client, collection), "reading the schema of"):
        schema = read_schema(client, collection)
    made = {name: probe_encoder(name, encoder, multivectors, distance) for name, encoder in ready.items()}
    there = {name: info for name, info in made.items() if name in schema.vectors}
    new = {name: info for name, info in made.items() if name not in there}
    problems = [*find_differences(schema, there, ready), *_lacks(client, schema, new)]
    if problems:
        raise PlanError(problems)
    adding = _Adding(client, schema, mapping, size, policy)
    _, first = next(adding.batches(None), (None, []))
    read_texts(cast(Any, first), mapping, collection)  # refuses a wrong mapping before anything is made
    added = require_known(new, ready) if new else {}
    done = [adding.make(name, info) for name, info in added.items()]
    adding.schema = replace(schema, vectors={**schema.vectors, **added})
    written, empty = dict.fromkeys(ready, 0), dict[int | str, None]()
    for name, encoder in ready.items():
        for key, batch in adding.batches(name):
            filled = adding.write(name, encoder, key, batch)
            written[name] += len(filled)
            empty |= dict.fromkeys(id for id in (plain_id(point.id) for point in batch) if id not in filled)
            if on_progress is not None:
                on_progress(name, written[name])
    return AddedVectors(tuple(done), written, tuple(empty), time.monotonic() - started)


def _lacks(client: QdrantClient, schema: Schema, new: Collection[str]) -> Iterator[str]:
    """Why the collection can't get vectors of these names."""
    if not new:
        return
    names = ", ".join(map(repr, sorted(new)))
    copy = "make another collection with ensure_collection, and store the documents there with ingest"
    if "" in new:
        yield f"a vector that is added needs a name: encoders={{'dense': …}}; {schema.collection!r} has no unnamed vector"
    if not hasattr(client, "create_vector_name"):
        yield f"qdrant-client adds vectors ({names}) to a collection since 1.18: install a newer one, or {copy}"
    elif engine_of(client) == "server" and (there := Capabilities.of(client.info().version)).version < _SINCE:
        yield f"Qdrant adds vectors ({names}) to a collection since 1.18; this is {there}: {copy}"


@dataclass
class _Adding:
    """One run: where the points are, and how they are read and written."""

    client: QdrantClient
    schema: Schema
    mapping: AnyMapping
    size: int
    retries: Retries

    def make(self, name: str, info: VectorInfo) -> str:
        """Give the collection a vector of this name; says what was done."""
        with describe_failures(Place.of(self.client, self.schema.collection), f"adding the vector {name!r} to"):
            self.retries.run(partial(self.client.create_vector_name, self.schema.collection, name, _name_config(info)))
            if info.kind == "multi" and engine_of(self.client) != "edge":  # a new vector's graph can only be set afterwards
                graph = {name: models.VectorParamsDiff(hnsw_config=_dense_params(info, None).hnsw_config)}
                self.retries.run(partial(self.client.update_collection, self.schema.collection, vectors_config=graph))
        return f"gave the collection {self.schema.collection!r} the vector {name!r} ({info})"

    def batches(self, lacking: str | None) -> Iterator[tuple[models.ShardKey | None, list[models.Record]]]:
        """The points that lack this vector, or all: batch by batch, each with its shard key if sharding is custom."""
        only = None
        if lacking is not None:
            only = models.Filter(must_not=[models.HasVectorCondition(has_vector=lacking)])
        for key in self.schema.shard_keys or [None]:
            offset: Any = None
            while True:
                where = {"offset": offset, **shard_argument(key)}
                read = partial(self.client.scroll, self.schema.collection, only, self.size, with_payload=True, **where)
                with describe_failures(Place.of(self.client, self.schema.collection), "reading the points of"):
                    points, offset = self.retries.run(read)
                if points:
                    yield key, points
                if offset is None:
                    break

    def write(
        self, name: str, encoder: Encoder, key: models.ShardKey | None, batch: list[models.Record]
    ) -> set[models.ExtendedPointId]:
        """Store the vectors of a batch; the ids of the points that got one."""
        documents = [Document(plain_id(point.id), self.mapping.content(point.payload or {}).text) for point in batch]
        documents = [document for document in documents if document.text.strip()]
        made = zip(documents, encode_batch(documents, {name: encoder}, self.schema.vectors), strict=True)
        points = [
            models.PointVectors(id=document.id, vector=vectors)
            for document, vectors in made
            if getattr(vectors[name], "indices", None) != []  # which servers refuse
        ]
        with describe_failures(Place.of(self.client, self.schema.collection), f"storing the vector {name!r} in"):
            for part in split_points(points) if points else ():
                self.retries.run(
                    partial(self.client.update_vectors, self.schema.collection, part, wait=True, **shard_argument(key))
                )
        return {point.id for point in points}


def _name_config(info: VectorInfo) -> models.SparseVectorNameConfig | models.DenseVectorNameConfig:
    if info.kind == "sparse":
        modifier = _sparse_params(info, None).modifier
        return models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=modifier))
    params = _dense_params(info, None)
    config = models.DenseVectorConfig(size=params.size, distance=params.distance, multivector_config=params.multivector_config)
    return models.DenseVectorNameConfig(dense=config)

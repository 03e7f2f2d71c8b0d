"""Vectors added to the points of a collection that is there, e.g. keyword search beside embeddings: nothing is copied.

    add_vectors(client, "docs", {"bm25": Bm25()}, payload="langchain")

Run it again after others have written documents without these vectors: it fills in what is missing, and no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

from qdrant_client import QdrantClient, models

from ..calls import INGEST, Retries
from ..capabilities import engine_of
from ..engine_errors import Place, describe_failures
from ..errors import PlanError, StrategyError
from ..models.encoders import Encoder, EncoderLike, as_encoder
from ..payload import AnyMapping, PayloadLike, as_mapping, read_texts
from ..schema import Schema, VectorInfo, read_schema
from .collection import find_differences, require_known
from .documents import Document
from .writing import check_batch_size, check_multivectors, encode_batch, probe_encoder, shard_argument, split_points

__all__ = ["AddedVectors", "add_vectors"]

_SINCE: Final = (1, 18)


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
    first: Any = next(adding.batches(None), [])
    read_texts(first, mapping, collection)  # a wrong mapping is told before anything is made
    done = [adding.make(name, info) for name, info in (require_known(new, ready) if new else {}).items()]
    with describe_failures(Place.of(client, collection), "reading the schema of"):
        adding.schema = policy.run(partial(read_schema, client, collection))
    written, empty = dict.fromkeys(ready, 0), dict[int | str, None]()
    for name, encoder in ready.items():
        for batch in adding.batches(name):
            filled = adding.write(name, encoder, batch)
            written[name] += len(filled)
            empty |= dict.fromkeys(id for id in map(_id, batch) if id not in filled)
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
    elif engine_of(client) == "server":
        version = client.info().version
        number = tuple(int(part) for part in version.lstrip("v").split(".")[:2])
        if number < _SINCE:
            yield f"Qdrant adds vectors ({names}) to a collection since 1.18; this is Qdrant {version}: {copy}"


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
            self.retries.run(partial(self.client.create_vector_name, self.schema.collection, name, _config(info)))
            if info.kind == "multi" and engine_of(self.client) != "edge":  # only rescores: a graph would cost much, for nothing
                no_graph = {name: models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(m=0))}
                self.retries.run(partial(self.client.update_collection, self.schema.collection, vectors_config=no_graph))
        return f"gave the collection {self.schema.collection!r} the vector {name!r} ({info})"

    def batches(self, lacking: str | None) -> Iterator[list[models.Record]]:
        """The points that lack this vector, or all; batch by batch, of each shard key if sharding is custom."""
        self._key: models.ShardKey | None = None
        yield from chain.from_iterable(map(partial(self._batches_of, lacking), self.schema.shard_keys or [None]))

    def _batches_of(self, lacking: str | None, key: models.ShardKey | None) -> Iterator[list[models.Record]]:
        self._key = key
        has = None if lacking is None else models.HasVectorCondition(has_vector=lacking)
        only = None if has is None else models.Filter(must_not=[has])
        offset: Any = None
        while True:
            read = partial(self.client.scroll, self.schema.collection, only, self.size, offset=offset, **shard_argument(key))
            with describe_failures(Place.of(self.client, self.schema.collection), "reading the points of"):
                points, offset = self.retries.run(partial(read, with_payload=True, with_vectors=False))
            if points:
                yield points
            if offset is None:
                return

    def write(self, name: str, encoder: Encoder, batch: list[models.Record]) -> set[int | str]:
        """Store the vectors of the last batch; the ids of the points that got one."""
        documents = [Document(_id(point), self.mapping.content(point.payload or {}).text) for point in batch]
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
                    partial(self.client.update_vectors, self.schema.collection, part, wait=True, **shard_argument(self._key))
                )
        return {_id(point) for point in points}


def _id(point: models.Record | models.PointVectors) -> int | str:
    return point.id if isinstance(point.id, int) else str(point.id)


def _config(info: VectorInfo) -> models.SparseVectorNameConfig | models.DenseVectorNameConfig:
    if info.kind == "sparse":
        modifier = models.Modifier.IDF if info.idf else None
        return models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier=modifier))
    assert info.size is not None
    assert info.distance is not None
    multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM) if info.kind == "multi" else None
    return models.DenseVectorNameConfig(
        dense=models.DenseVectorConfig(size=info.size, distance=info.distance, multivector_config=multi)
    )

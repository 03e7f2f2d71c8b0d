"""Embedding documents and writing them: batch by batch, so that memory stays small and a killed run can go on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

from qdrant_client import QdrantClient, models

from ..calls import INGEST, Retries
from ..engine_errors import Place, describe_failures
from ..errors import IngestError, MissingExtra, PlanError, QdrantRerankError, StrategyError, did_you_mean
from ..models.encoders import Encoder, EncoderLike, Encoders
from ..schema import Kind, Schema, VectorInfo, read_schema
from ..steps import QueryVector
from ..values import to_whole
from .documents import BadLine, Document, payload_problem, point_id

P = TypeVar("P", models.PointStruct, models.PointVectors)

_PROBE: Final = "a short text"
_BY_SERVER = (models.Document, models.Image, models.InferenceObject)


def probe_encoder(
    name: str, encoder: Encoder, multivectors: Collection[str] = (), distance: models.Distance | None = None
) -> VectorInfo | None:
    """What the encoder makes for the vector `name`; None where the server embeds.

    A short text is embedded if the encoder's `kind` and `size` don't say.

    Raises StrategyError: the encoder makes no vectors.
    """
    kind: Kind | None = "multi" if name in multivectors else getattr(encoder, "kind", None)
    if kind == "sparse":
        return VectorInfo("sparse", idf=bool(getattr(encoder, "idf", False)))
    size = getattr(encoder, "size", None)
    if kind is not None and size is not None:
        return VectorInfo(kind, size, distance)
    [vector] = encoder.encode_documents([_PROBE])
    if isinstance(vector, _BY_SERVER):
        return None
    made = _describe_vector(_plain(vector), distance)
    if made is None:
        raise StrategyError(
            f"the encoder for {name!r} made {vector!r} of {_PROBE!r}: that is neither a list of numbers, nor a list of such "
            "lists, nor a models.SparseVector"
        )
    if kind is not None and made.kind != kind:
        raise StrategyError(f"the vector {name!r} is to be {kind}, but its encoder makes {describe_size(made)}: {encoder!r}")
    return made if made.kind != "sparse" else VectorInfo("sparse", idf=bool(getattr(encoder, "idf", False)))


def check_multivectors(multivectors: Collection[str], encoders: Mapping[str, Encoder]) -> None:
    """Refuse multivectors without an encoder, or whose encoder makes something else."""
    for name in multivectors:
        if name not in encoders:
            there = ", ".join(map(repr, encoders)) or "none"
            hint = did_you_mean(name, encoders)
            raise StrategyError(f"multivectors names {name!r}, which has no encoder; there are {there}{hint}")
        kind = getattr(encoders[name], "kind", None)
        if kind not in (None, "multi"):
            raise StrategyError(f"multivectors names {name!r}, but its encoder makes {kind} vectors: {encoders[name]!r}")


def encode_batch(documents: Sequence[Document], encoders: Mapping[str, Encoder], made: Mapping[str, VectorInfo]) -> list[Any]:
    """The vectors of each document by name, which fit the collection's (`made`): its own, the others embedded.

    Raises IngestError: an encoder failed, or a vector doesn't fit; names the documents.
    """
    ids = [document.id for document in documents]
    vectors: list[dict[str, QueryVector]] = [dict(document.vectors) for document in documents]
    for name, encoder in encoders.items():
        lacking = [number for number, document in enumerate(documents) if name not in document.vectors]
        if not lacking:
            continue
        found = _embed(name, encoder, [documents[number].text for number in lacking], ids)
        for number, vector in zip(lacking, found, strict=True):
            vectors[number][name] = vector
    return [
        {name: _check_vector(document, name, vector, made) for name, vector in own.items()}
        for document, own in zip(documents, vectors, strict=True)
    ]


def _embed(name: str, encoder: Encoder, texts: list[str], ids: list[str | int]) -> list[QueryVector]:
    try:
        found = list(encoder.encode_documents(texts))
    except (MissingExtra, StrategyError):
        raise  # not the documents' fault
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise IngestError(f"the encoder for {name!r} failed on {batch_of(ids)}: {reason}", ids) from error
    if len(found) != len(texts):
        raise IngestError(f"the encoder for {name!r} made {len(found)} vectors of {len(texts)} texts, on {batch_of(ids)}", ids)
    return found


def _check_vector(document: Document, name: str, vector: Any, made: Mapping[str, VectorInfo]) -> Any:
    if name not in made:
        there = ", ".join(map(repr, made)) or "none"
        raise IngestError(
            f"document {document.id!r} brings a vector {name!r}, which the collection doesn't have; it has {there}"
            f"{did_you_mean(name, made)}",
            [document.id],
        )
    if isinstance(vector, _BY_SERVER):
        return vector
    plain = _plain(vector)
    if problem := _misfit(plain, made[name]):
        raise IngestError(f"the vector {name!r} of document {document.id!r} {problem}", [document.id])
    return plain


def _misfit(vector: Any, wanted: VectorInfo) -> str | None:
    """Why a vector can't be stored as what is wanted."""
    found = _describe_vector(vector)
    if found is None:
        return f"is no vector, but {vector!r}"[:200]
    if (found.kind, found.size) != (wanted.kind, wanted.size):
        return f"is {describe_size(found)}, but the collection's is {wanted}"
    return None if _is_finite(vector) else "holds numbers that aren't finite"


def describe_size(info: VectorInfo) -> str:
    """A vector's kind and size."""
    return info.kind if info.size is None else f"{info.kind}, {info.size} numbers" + (" a row" if info.kind == "multi" else "")


def _describe_vector(vector: Any, distance: models.Distance | None = None) -> VectorInfo | None:
    """What a vector is; None if it is none."""
    if isinstance(vector, models.SparseVector):
        return VectorInfo("sparse")
    if not isinstance(vector, list) or not vector:
        return None
    first = vector[0]
    if isinstance(first, list):
        sizes = {len(row) for row in vector}
        return VectorInfo("multi", sizes.pop(), distance) if len(sizes) == 1 else None
    return VectorInfo("dense", len(vector), distance)


def _plain(vector: Any) -> Any:
    """A vector in Python's own lists and numbers."""
    if hasattr(vector, "tolist"):
        return vector.tolist()
    indices, values = getattr(vector, "indices", None), getattr(vector, "values", None)
    if indices is not None and values is not None and not callable(values):
        return models.SparseVector(indices=[int(index) for index in indices], values=[float(value) for value in values])
    if isinstance(vector, Sequence) and not isinstance(vector, str):
        return [
            item.tolist() if hasattr(item, "tolist") else list(item) if isinstance(item, Sequence) else item for item in vector
        ]
    return vector


def _is_finite(vector: Any) -> bool:
    if isinstance(vector, models.SparseVector):
        return math.isfinite(sum(vector.values))
    return all(math.isfinite(sum(row)) for row in vector) if isinstance(vector[0], list) else math.isfinite(sum(vector))


def batch_of(ids: Sequence[str | int]) -> str:
    """The ids of a batch, for messages."""
    listed = ", ".join(map(repr, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"a batch of {len(ids)} documents: {listed}"


_MOST_BYTES: Final = 30 * 2**20  # of a request; REST takes 32 MB


@dataclass(frozen=True)
class IngestReport:
    """What `ingest` did.

    Attributes:
        written: documents that were embedded and stored.
        skipped: documents that were stored already.
        bad: lines that held no usable document, when the documents came from `read_jsonl` directly; and documents whose
            payload can't be stored, by their number among the documents, from 1.
        seconds: how long it took.
    """

    written: int
    skipped: int
    bad: tuple[BadLine, ...]
    seconds: float


def ingest(
    client: QdrantClient,
    collection: str,
    documents: Iterable[Document],
    encoders: Mapping[str, EncoderLike] | Encoders,
    *,
    batch_size: int = 64,
    resume: bool = True,
    text_key: str | None = "text",
    on_progress: Callable[[int, int], None] | None = None,
    retries: int | Retries = INGEST,
    shard_key: models.ShardKey | None = None,
) -> IngestReport:
    """Embed documents and store them as points.

    A point's payload is the document's, with the document's id under `_id`, and its text under `text_key` unless the
    payload has that key. No more than one batch is in memory. When the server is unable to answer for a while, as one that
    starts again or has a rate limit, the request is made again.

    Args:
        client: a `QdrantClient`, of a server or in local mode.
        collection: must be there; `ensure_collection` makes it.
        documents: read as they are needed, once.
        encoders: by vector name, or `Encoders`; a document that brings a vector of that name is not embedded.
        batch_size: documents in one request; one that would exceed what REST takes (32 MB) is sent in parts.
        resume: skip documents whose id is stored already, so that a run that was killed goes on where it was. False
            stores every document again, e.g. when texts or encoders changed.
        text_key: the payload key for the text; None to store only the payload.
        on_progress: is called after each batch with the documents written and skipped so far.
        retries: how often a request is made again at most; a `Retries` says how long to pause as well.
        shard_key: of a custom-sharded collection, the shard that the documents go to; it must be there.

    Raises:
        IngestError: a batch can't be embedded; what was written before it stays, and a second run goes on from there.
        PlanError: there is no such collection, or it lacks an encoder's vector.
    """
    size, started, policy = check_batch_size(batch_size), time.monotonic(), Retries.of(retries)
    with describe_failures(Place.of(client, collection), "reading the schema of"):
        schema = read_schema(client, collection)  # once: a server that isn't there at the start is a wrong address
    ready = encoders.for_documents(schema) if isinstance(encoders, Encoders) else Encoders.of(encoders).for_documents(schema)
    if problems := list(_find_absent(schema, ready)):
        raise PlanError(problems)
    written = skipped = 0
    bad: list[BadLine] = []
    for batch in _batches(_storable(documents, bad), size):
        fresh = _find_unstored(client, collection, batch, policy, shard_key) if resume else batch
        if fresh:
            _write(client, schema, fresh, ready, text_key, policy, shard_key)
        written += len(fresh)
        skipped += len(batch) - len(fresh)
        if on_progress is not None:
            on_progress(written, skipped)
    return IngestReport(written, skipped, (*getattr(documents, "bad", ()), *bad), time.monotonic() - started)


def check_batch_size(value: object) -> int:
    """Check how many points are sent at a time. Raises StrategyError: not a whole number, or less than 1."""
    size = to_whole(value)
    if size is None or size < 1:
        raise StrategyError(f"batch_size must be a whole number of at least 1, got {value!r}")
    return size


def _find_absent(schema: Schema, encoders: Mapping[str, Encoder]) -> Iterator[str]:
    for name in encoders:
        if name not in schema.vectors:
            hint = did_you_mean(name, schema.vectors)
            yield f"no vector named {name!r}; the collection {schema.collection!r} has {schema.describe_vectors()}{hint}"


def _storable(documents: Iterable[Document], bad: list[BadLine]) -> Iterator[Document]:
    """The documents whose payload can be stored; the others go to `bad`."""
    for number, document in enumerate(documents, 1):
        if problem := payload_problem(document.payload):
            bad.append(BadLine("documents", number, f"document {document.id!r}: {problem}"))
        else:
            yield document


def _batches(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    source = iter(documents)
    while batch := list(islice(source, size)):
        yield batch


def _find_unstored(
    client: QdrantClient, collection: str, batch: Sequence[Document], retries: Retries, shard_key: models.ShardKey | None
) -> list[Document]:
    """The documents that aren't stored yet; of several with one id, the first."""
    by_point: dict[int | str, Document] = {}
    for document in batch:
        by_point.setdefault(point_id(document.id), document)
    with describe_failures(Place.of(client, collection), "looking up documents in"):
        stored = retries.run(
            lambda: client.retrieve(
                collection, list(by_point), with_payload=False, with_vectors=False, **shard_argument(shard_key)
            )
        )
    for record in stored:
        del by_point[plain_id(record.id)]
    return list(by_point.values())


def _write(
    client: QdrantClient,
    schema: Schema,
    documents: Sequence[Document],
    encoders: Mapping[str, Encoder],
    text_key: str | None,
    retries: Retries,
    shard_key: models.ShardKey | None,
) -> None:
    empty = [document.id for document in documents if not document.text.strip() and encoders.keys() - document.vectors.keys()]
    if empty:
        raise IngestError(f"documents without text can't be embedded: {', '.join(map(repr, empty))}", empty)
    points = [
        models.PointStruct(id=point_id(document.id), vector=vectors, payload=_payload(document, text_key))
        for document, vectors in zip(documents, encode_batch(documents, encoders, schema.vectors), strict=True)
    ]
    batch = batch_of([document.id for document in documents])
    try:
        with describe_failures(Place.of(client, schema.collection), f"storing {batch} in"):
            for part in split_points(points):
                retries.run(partial(client.upsert, schema.collection, part, wait=True, **shard_argument(shard_key)))
    except QdrantRerankError as error:  # which says where, but not what was stored
        error.add_note(f"while storing {batch}")
        raise


def shard_argument(shard_key: models.ShardKey | None) -> dict[str, Any]:
    """The argument for it, if there is one: not every client knows it."""
    return {} if shard_key is None else {"shard_key_selector": shard_key}


def plain_id(id: models.ExtendedPointId) -> int | str:
    """A point's id as `point_id` writes it; clients give UUIDs as such or as text."""
    return id if isinstance(id, int) else str(id)


def split_points(points: list[P]) -> Iterator[list[P]]:
    """The points, in requests that REST takes; the server refuses a point that is too large by itself."""
    if len(points) < 2 or sum(map(_at_most, points)) <= _MOST_BYTES:
        yield points
        return
    half = len(points) // 2
    yield from split_points(points[:half])
    yield from split_points(points[half:])


def _at_most(point: models.PointStruct | models.PointVectors) -> int:
    """The most bytes that a point takes as JSON: 25 for each number of a vector, and its payload."""
    vectors = point.vector if isinstance(point.vector, dict) else {"": point.vector}
    payload = json.dumps(getattr(point, "payload", None), ensure_ascii=False, default=str).encode()
    return 200 + len(payload) + 25 * sum(map(count_sent_numbers, vectors.values()))


def count_sent_numbers(vector: Any) -> int:
    """Count the numbers of a vector: of rows, of indices and values; none of what the server embeds."""
    if isinstance(vector, models.SparseVector):
        return 2 * len(vector.values)
    if isinstance(vector, list):
        return sum(len(row) if isinstance(row, list) else 1 for row in vector)
    return 0


def _payload(document: Document, text_key: str | None) -> dict[str, Any]:
    payload = {**document.payload, "_id": document.id}
    if text_key is not None:
        payload.setdefault(text_key, document.text)
    return payload

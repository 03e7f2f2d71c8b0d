"""Filling a collection: batch by batch, so that memory stays small and a run that was killed can go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from qdrant_client import QdrantClient, models

from ..checks import to_whole
from ..errors import IngestError, PlanError, QdrantRerankError, StrategyError, did_you_mean
from ..failure_notes import Place, describe_failures
from ..models.encoders import Encoder, EncoderLike, as_encoder
from ..retries import INGEST, Retries
from ..schema import Schema, read_schema
from .documents import Document, payload_problem, point_id
from .encoding import batch_of, encoded
from .jsonl import BadLine

__all__ = ["IngestReport", "ingest"]


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
    encoders: Mapping[str, EncoderLike],
    *,
    batch_size: int = 64,
    resume: bool = True,
    text_key: str | None = "text",
    on_progress: Callable[[int, int], None] | None = None,
    retries: int | Retries = INGEST,
) -> IngestReport:
    """Embed documents and store them as points.

    A point's payload is the document's, with the document's id under `_id`, and its text under `text_key` unless the
    payload has that key. No more than one batch is in memory. When the server is unable to answer for a while, as one that
    starts again or has a rate limit, the request is made again.

    Args:
        client: a `QdrantClient`, of a server or in local mode.
        collection: must be there; `ensure_collection` makes it.
        documents: read as they are needed, once.
        encoders: by vector name; a document that brings a vector of that name is not embedded.
        batch_size: documents in one request.
        resume: skip documents whose id is stored already, so that a run that was killed goes on where it was. False
            stores every document anew, e.g. when texts or encoders changed.
        text_key: the payload key for the text; None to store only the payload.
        on_progress: is called after each batch with the documents written and skipped so far.
        retries: how often a request is made again at most; a `Retries` says how long to pause as well.

    Raises:
        IngestError: a batch can't be embedded; what was written before it stays, and a second run goes on from there.
        PlanError: there is no such collection, or it lacks an encoder's vector.
    """
    size = to_whole(batch_size)
    if size is None or size < 1:
        raise StrategyError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    started, policy = time.monotonic(), Retries.of(retries)
    with describe_failures(Place.of(client, collection), "reading the schema of"):
        schema = read_schema(client, collection)  # once: a server that isn't there at the start is a wrong address
    ready = {name: as_encoder(encoder) for name, encoder in encoders.items()}
    if problems := list(_missing(schema, ready)):
        raise PlanError(problems)
    written = skipped = 0
    bad: list[BadLine] = []
    for batch in _batches(_storable(documents, bad), size):
        fresh = _unstored(client, collection, batch, policy) if resume else batch
        if fresh:
            _write(client, schema, fresh, ready, text_key, policy)
        written += len(fresh)
        skipped += len(batch) - len(fresh)
        if on_progress is not None:
            on_progress(written, skipped)
    return IngestReport(written, skipped, (*getattr(documents, "bad", ()), *bad), time.monotonic() - started)


def _missing(schema: Schema, encoders: Mapping[str, Encoder]) -> Iterator[str]:
    for name in encoders:
        if name not in schema.vectors:
            hint = did_you_mean(name, schema.vectors)
            yield f"no vector named {name!r}; the collection {schema.collection!r} has {schema.describe_vectors()}{hint}"


def _storable(documents: Iterable[Document], bad: list[BadLine]) -> Iterator[Document]:
    """The documents whose payload can be stored; the others are noted."""
    for number, document in enumerate(documents, 1):
        if problem := payload_problem(document.payload):
            bad.append(BadLine("documents", number, f"document {document.id!r}: {problem}"))
        else:
            yield document


def _batches(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    source = iter(documents)
    while batch := list(islice(source, size)):
        yield batch


def _unstored(client: QdrantClient, collection: str, batch: Sequence[Document], retries: Retries) -> list[Document]:
    """The documents that aren't stored yet; of several with one id, the first."""
    by_point: dict[int | str, Document] = {}
    for document in batch:
        by_point.setdefault(point_id(document.id), document)
    with describe_failures(Place.of(client, collection), "looking up documents in"):
        stored = retries.run(lambda: client.retrieve(collection, list(by_point), with_payload=False, with_vectors=False))
    for record in stored:
        del by_point[record.id if isinstance(record.id, int) else str(record.id)]
    return list(by_point.values())


def _write(
    client: QdrantClient,
    schema: Schema,
    documents: Sequence[Document],
    encoders: Mapping[str, Encoder],
    text_key: str | None,
    retries: Retries,
) -> None:
    empty = [document.id for document in documents if not document.text.strip() and encoders.keys() - document.vectors.keys()]
    if empty:
        raise IngestError(f"documents without text can't be embedded: {', '.join(map(repr, empty))}", empty)
    points = [
        models.PointStruct(id=point_id(document.id), vector=vectors, payload=_payload(document, text_key))
        for document, vectors in zip(documents, encoded(documents, encoders, schema.vectors), strict=True)
    ]
    batch = batch_of([document.id for document in documents])
    try:
        with describe_failures(Place.of(client, schema.collection), f"storing {batch} in"):
            retries.run(lambda: client.upsert(schema.collection, points, wait=True))
    except QdrantRerankError as error:  # which says where, but not what was stored
        error.add_note(f"while storing {batch}")
        raise


def _payload(document: Document, text_key: str | None) -> dict[str, Any]:
    payload = {**document.payload, "_id": document.id}
    if text_key is not None:
        payload.setdefault(text_key, document.text)
    return payload

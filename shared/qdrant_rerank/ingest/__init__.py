"""Making the collection that a strategy needs, and filling it: restartable, batch by batch.

    encoders = {"dense": FastembedDense(), "bm25": Bm25()}
    ensure_collection(client, "docs", encoders, strategy=strategy)
    report = ingest(client, "docs", read_jsonl("corpus.jsonl", on_bad=print), encoders)

`documents` reads what to store, `collection` makes the place for it, `writing` embeds it and puts it there; `collection`
also gives the points of one that is there further vectors.
"""

from __future__ import annotations

from .collection import AddedVectors, add_vectors, ensure_collection, ensure_indexes, requirements
from .documents import BadLine, Document, JsonlDocuments, point_id, read_jsonl
from .writing import IngestReport, ingest

__all__ = [
    "AddedVectors",
    "BadLine",
    "Document",
    "IngestReport",
    "JsonlDocuments",
    "add_vectors",
    "ensure_collection",
    "ensure_indexes",
    "ingest",
    "point_id",
    "read_jsonl",
    "requirements",
]

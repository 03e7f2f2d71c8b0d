"""Ranked points as LangChain documents."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document
from qdrant_client import models

from qdrant_rerank import PayloadMapping, PlanWarning
from qdrant_rerank.payload import AnyMapping, Content, read_contents
from qdrant_rerank.steps import Points

__all__ = ["RESERVED", "to_documents"]

RESERVED = ("_id", "_collection_name")
"""Metadata keys that hold the point's id and collection, as in the documents of langchain-qdrant."""


def to_documents(
    points: Points,
    *,
    collection: str,
    mapping: AnyMapping,
    score_key: str | None = "score",
    with_payload: models.WithPayloadInterface = True,
) -> list[Document]:
    """New documents in the points' order; the points stay as they are.

    Where the payload's root is the metadata (`payload="flat"`), an `_id` of the document's own stays: the point's is the
    document's `id`. A point in several groups comes once, at its best rank. If documents have metadata of their own
    under `score_key`, it stays, and the score of each document of this answer goes under `_` + `score_key`, with a warning.

    Args:
        points: best first.
        collection: the collection's name.
        mapping: where the text and the metadata are.
        score_key: the metadata key for Qdrant's score; None for no score.
        with_payload: what was asked for; with False, documents have ids and scores but no text.
    """
    ranked = _once(points)
    contents = [Content("", {}) for _ in ranked] if with_payload is False else read_contents(ranked, mapping, collection)
    score_name = _free_name(score_key, contents, collection)
    keeps_id = isinstance(mapping, PayloadMapping) and mapping.metadata is None
    documents = []
    for point, (text, metadata) in zip(ranked, contents, strict=True):  # the metadata is a copy, made for us
        _warn_of_hidden(metadata, point, collection, keeps_id)
        if not keeps_id or "_id" not in metadata:
            metadata["_id"] = point.id
        metadata["_collection_name"] = collection
        if score_name is not None:
            metadata[score_name] = float(point.score)
        documents.append(Document(id=str(point.id), page_content=text, metadata=metadata))
    return documents


def _warn_of_hidden(metadata: Mapping[str, Any], point: models.ScoredPoint, collection: str, keeps_id: bool) -> None:
    """Say which metadata of the document's own the point's id and collection replace."""
    hidden = []
    if not keeps_id and metadata.get("_id", point.id) != point.id:
        hidden.append("_id")
    if metadata.get("_collection_name", collection) != collection:
        hidden.append("_collection_name")
    if hidden:
        _warn(
            f"documents from {collection!r} have metadata of their own under {' and '.join(map(repr, hidden))}, which the "
            "point's hides: store it under another key, or rename it with payload=a function from payload to (text, metadata)"
        )


def _once(points: Points) -> Points:
    """Each point at its best rank: one whose `group_by` value is a list is found in several groups."""
    if len({point.id for point in points}) == len(points):
        return points
    first: dict[models.ExtendedPointId, models.ScoredPoint] = {}
    for point in points:
        first.setdefault(point.id, point)
    return list(first.values())


def _free_name(score_key: str | None, contents: list[Content], collection: str) -> str | None:
    """The metadata key for scores: `score_key`, or if documents use it themselves, with underscores before it."""
    name = score_key
    while name is not None and any(name in content.metadata for content in contents):
        name = f"_{name}"
    if name != score_key:
        _warn(
            f"documents from {collection!r} have metadata of their own under {score_key!r}: it is kept, and their scores "
            f"are under {name!r}; set score_key='…' to another name, or to None"
        )
    return name


def _warn(message: str) -> None:
    warnings.warn(PlanWarning(message), stacklevel=4)

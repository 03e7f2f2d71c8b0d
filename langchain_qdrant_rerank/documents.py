"""Ranked points as LangChain documents."""

from __future__ import annotations

import warnings
from typing import Any

from langchain_core.documents import Document
from qdrant_client import models

from qdrant_rerank import PlanWarning
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

    A point in several groups comes once, at its best rank. If documents have metadata of their own under `score_key`,
    it stays, and the score of each document of this answer goes under `_` + `score_key`, with a warning.

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
    return [_document(point, content, collection, score_name) for point, content in zip(ranked, contents, strict=True)]


def _document(point: models.ScoredPoint, content: Content, collection: str, score_name: str | None) -> Document:
    added: dict[str, Any] = {"_id": point.id, "_collection_name": collection}
    hidden = [key for key in added if key in content.metadata and content.metadata[key] != added[key]]
    if hidden:
        _warn(
            f"documents from {collection!r} have metadata of their own under {' and '.join(map(repr, hidden))}, which the "
            "point's hides: store it under another key, or rename it with payload=a function from payload to (text, metadata)"
        )
    if score_name is not None:
        added[score_name] = float(point.score)
    return Document(id=str(point.id), page_content=content.text, metadata=content.metadata | added)


def _once(points: Points) -> Points:
    """Each point at its best rank: one whose `group_by` value is a list is found in several groups."""
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

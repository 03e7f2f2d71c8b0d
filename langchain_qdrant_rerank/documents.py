"""Ranked points as LangChain documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

from langchain_core.documents import Document
from qdrant_client import models

from qdrant_rerank import PayloadMapping
from qdrant_rerank._internals import BEYOND, MUTE, AnyMapping, Content, Points, ResultReason, notes_of, read_contents, warn

__all__ = ["RESERVED", "to_documents"]

RESERVED = ("_id", "_collection_name")
"""Metadata keys that hold the point's id and collection, as in the documents of langchain-qdrant."""
_FAILED: Final = "not_reranked"
_PLAIN: Final = frozenset({models.ScoredPoint})


def to_documents(
    points: Points,
    *,
    collection: str,
    mapping: AnyMapping,
    score_key: str | None = None,
    with_payload: models.WithPayloadInterface = True,
    reasons: Sequence[ResultReason] = (),
    explanation_key: str = "_explanation",
) -> list[Document]:
    """New documents in the points' order; the points stay as they are.

    Where the payload's root is the metadata (`payload="flat"`), an `_id` of the document's own stays: the point's is the
    document's `id`. A point in several groups comes once, at its best rank. If documents have metadata of their own
    under a key that is to be added, it stays, and what is added to each document of this answer goes under `_` + the
    key, with a warning.

    Args:
        points: best first; what reranking notes of them (`qdrant_rerank.RankedPoint`) goes to the metadata, with a score key.
        collection: the collection's name.
        mapping: where the text and the metadata are.
        score_key: the metadata key for the score; None for neither score nor notes, but that a reranker failed.
        with_payload: what was asked for; with False, documents have ids and scores but no text.
        reasons: why each point is where it is; none for documents without explanations.
        explanation_key: the metadata key for explanations.
    """
    ranked = _once(points)
    contents = [Content("", {}) for _ in ranked] if with_payload is False else read_contents(ranked, mapping, collection)
    added = None
    if score_key is not None or reasons or not _PLAIN.issuperset(map(type, ranked)):  # only points of other types bear notes
        added = _additions(ranked, contents, collection, score_key, reasons, explanation_key)
    keeps_id = isinstance(mapping, PayloadMapping) and mapping.metadata is None
    documents = []
    for row, (point, (text, metadata)) in enumerate(zip(ranked, contents, strict=True)):  # the metadata is a copy, made for us
        if metadata.get("_id", point.id) != point.id or metadata.get("_collection_name", collection) != collection:
            _warn_of_hidden(metadata, point, collection, keeps_id)
        if not keeps_id or "_id" not in metadata:
            metadata["_id"] = point.id
        metadata["_collection_name"] = collection
        if added is not None:
            metadata.update(added[row])
        documents.append(Document(id=str(point.id), page_content=text, metadata=metadata))
    return documents


def _additions(
    points: Points,
    contents: Sequence[Content],
    collection: str,
    score_key: str | None,
    reasons: Sequence[ResultReason],
    explanation_key: str,
) -> list[dict[str, Any]]:
    """What is added to the metadata of each document, beside its id and collection; arguments as of `to_documents`."""
    names, scored = _Names(contents, collection), score_key is not None
    score_name = names.free(score_key, "their scores are", "; set score_key='…' to another name, or to None")
    explanations = {reason.id: reason.as_dict() for reason in reasons}
    explanation_name = names.free(
        explanation_key if explanations else None, "their explanations are", "; set explanation_key='…'"
    )
    notes = [_notes(point, scored) for point in points]
    note_names = {note: names.free(note, "what reranking notes is") for note in dict.fromkeys(chain(*notes))}
    added: list[dict[str, Any]] = []
    for point, own in zip(points, notes, strict=True):
        named = {score_name: float(point.score), explanation_name: explanations.get(point.id)}
        named |= {note_names[note]: value for note, value in own.items()}
        added.append({name: value for name, value in named.items() if name is not None})
    return added


def _notes(point: models.ScoredPoint, scored: bool) -> Mapping[str, Any]:
    """What reranking notes of a point; without scores that the reranker failed, and nothing that each query changes."""
    notes = notes_of(point)
    if scored:
        return notes
    return {_FAILED: notes[_FAILED]} if notes.get(_FAILED, BEYOND) not in (BEYOND, MUTE) else {}


def _warn_of_hidden(metadata: Mapping[str, Any], point: models.ScoredPoint, collection: str, keeps_id: bool) -> None:
    """Say which metadata of the document's own the point's id and collection replace."""
    hidden = []
    if not keeps_id and metadata.get("_id", point.id) != point.id:
        hidden.append("_id")
    if metadata.get("_collection_name", collection) != collection:
        hidden.append("_collection_name")
    if hidden:
        warn(
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


class _Names:
    """The metadata keys of one answer's documents, among which those that are added find their names."""

    def __init__(self, contents: Sequence[Content], collection: str) -> None:
        self._contents, self._collection = contents, collection
        self._added: set[str] = set(RESERVED)

    def free(self, key: str | None, what: str, remedy: str = "") -> str | None:
        """The name for what is to be added under `key`: the key, or if documents have that, with underscores before it."""
        name = key
        while name is not None and (name in self._added or any(name in content.metadata for content in self._contents)):
            name = f"_{name}"
        if name is not None:
            self._added.add(name)
        if name != key:
            warn(
                f"documents from {self._collection!r} have metadata of their own under {key!r}: it is kept, and {what} under "
                f"{name!r}{remedy}"
            )
        return name

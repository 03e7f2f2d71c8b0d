"""Points as LlamaIndex nodes: as LlamaIndex's own Qdrant store makes them, or by a payload mapping."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import ulp
from typing import Any, Final, TypeAlias
from uuid import UUID

from llama_index.core.schema import BaseNode, IndexNode, MetadataMode, NodeWithScore, TextNode
from llama_index.core.vector_stores.utils import legacy_metadata_dict_to_node, metadata_dict_to_node
from qdrant_client import models

from qdrant_rerank import PayloadMapping, QueryError, StrategyError
from qdrant_rerank._internals import (
    PRESETS,
    Content,
    PayloadLike,
    Points,
    ResultReason,
    TextSource,
    as_mapping,
    notes_of,
    read_contents,
    warn,
)

__all__ = ["NodeReader", "NodeText", "PointId", "as_metadata_mode", "point_id", "point_ids", "read_text", "with_hidden"]

PointId: TypeAlias = int | str
"""A point's id; UUIDs in the one form that Qdrant answers with, lower case with hyphens."""

_LARGEST = 2**64 - 1


def point_id(node_id: object) -> PointId | None:
    """The id of the point that a node was made from; None if no point can have it.

    A node's id is always a string. Points with integer ids become nodes with ids like `"77"`, which Qdrant would
    not find again, as it keeps `"77"` and 77 apart.
    """
    if isinstance(node_id, int) and not isinstance(node_id, bool):
        return node_id if 0 <= node_id <= _LARGEST else None
    text = str(node_id)
    if text.isascii() and text.isdigit() and int(text) <= _LARGEST and str(int(text)) == text:
        return int(text)
    try:
        return str(UUID(text))
    except ValueError:
        return None


def point_ids(node_ids: Iterable[object]) -> list[PointId]:
    """The ids of the points that nodes were made from.

    Raises:
        QueryError: no point can have one of these ids.
    """
    if isinstance(node_ids, str):
        raise QueryError(f"node_ids must be a list of node ids, got the string {node_ids!r}")
    found = {str(node_id): point_id(node_id) for node_id in node_ids}
    if strange := [node_id for node_id, point in found.items() if point is None]:
        listed = ", ".join(map(repr, strange[:5]))
        raise QueryError(f"node_ids must be UUIDs or whole numbers, as the ids of Qdrant's points are, got {listed}")
    return [point for point in found.values() if point is not None]


_NODE_KEYS: Final = ("_node_content", "_node_type")
_PLAIN: Final = frozenset({models.ScoredPoint})


@dataclass(frozen=True)
class NodeReader:
    """How a collection's points become nodes.

    Args:
        payload: "llama_index", "langchain", "flat", a `PayloadMapping`, or a function from payload to
            `(text, metadata)`.
        score_key: the metadata key for the score, which language and embedding models aren't shown; None for none.
        explanation_key: the metadata key for explanations, which they aren't shown either.

    Raises:
        StrategyError: no such payload preset, or a key isn't a text.
    """

    payload: PayloadLike = "llama_index"
    score_key: str | None = None
    explanation_key: str = "_explanation"

    def __post_init__(self) -> None:
        as_mapping(self.payload)
        if not isinstance(self.explanation_key, str) or not self.explanation_key:
            raise StrategyError(f"explanation_key must be a metadata key, got {self.explanation_key!r}")

    @property
    def is_llama_index(self) -> bool:
        """Whether LlamaIndex wrote the collection."""
        return as_mapping(self.payload) is PRESETS["llama_index"]

    @property
    def prefix(self) -> str:
        """What stands before a metadata key in the payload."""
        mapping = as_mapping(self.payload)
        return f"{mapping.metadata}." if isinstance(mapping, PayloadMapping) and mapping.metadata else ""

    def read(self, points: Points, text_key: str, collection: str, reasons: Sequence[ResultReason] = ()) -> list[NodeWithScore]:
        """A new node for each point, in their order.

        What is added to the metadata (the score, explanations, what reranking notes) is hidden from models. Where nodes
        have metadata of their own under its key, that stays, and what is added goes under `_` + the key, with a warning.

        Args:
            points: with payload.
            text_key: where the text is in points that LlamaIndex didn't write, or wrote long ago.
            collection: its name, for messages.
            reasons: why each point is where it is; none for nodes without explanations.

        Raises:
            PayloadError: not one point has a text where it should be.
        """
        nodes = self._nodes(points, text_key, collection)
        if self.score_key is None and not reasons and _PLAIN.issuperset(map(type, points)):  # only others bear notes
            return [_add_score(node, float(point.score)) for node, point in zip(nodes, points, strict=True)]
        added = list(self._find_additions(points, reasons))
        names = _free_names(dict.fromkeys(chain(*added)), nodes, collection)
        return [
            _add_score(with_hidden(node, {names[key]: value for key, value in own.items()}), float(point.score))
            for node, point, own in zip(nodes, points, added, strict=True)
        ]

    def _find_additions(self, points: Points, reasons: Sequence[ResultReason]) -> Iterator[dict[tuple[str, str], Any]]:
        """What is to be added to each node's metadata, by what it is and by key."""
        explanations = {reason.id: reason.as_dict() for reason in reasons}
        for point in points:
            own: dict[tuple[str, str], Any] = {}
            if self.score_key is not None:
                own["score", self.score_key] = float(point.score)
            if point.id in explanations:
                own["explanation", self.explanation_key] = explanations[point.id]
            notes = notes_of(point)
            yield own | {("note", key): value for key, value in notes.items()}

    def node(self, point: models.ScoredPoint, text_key: str) -> BaseNode:
        """The node that a point becomes, without what is added to its metadata."""
        if self.is_llama_index:
            if (made := _rebuild(point)) is not None:
                return made
            bare = _drop_node(point)
            return _legacy_node(bare, PayloadMapping(text_key).content(bare.payload or {}))
        return _text_node(point, as_mapping(self.payload).content(point.payload or {}))

    def _nodes(self, points: Points, text_key: str, collection: str) -> Sequence[BaseNode]:
        if self.is_llama_index:
            return _rebuild_nodes(points, text_key, collection)
        contents = read_contents(points, as_mapping(self.payload), collection)
        return [_text_node(point, content) for point, content in zip(points, contents, strict=True)]


def _add_score(node: BaseNode, score: float) -> NodeWithScore:
    if score == 0.0 and isinstance(node, IndexNode):
        score = ulp(0.0)  # LlamaIndex takes the 0 of a node that leads to an object for no score, and makes it 1
    return NodeWithScore(node=node, score=score)


def _free_names(wanted: Iterable[tuple[str, str]], nodes: Sequence[BaseNode], collection: str) -> dict[tuple[str, str], str]:
    """The name for each thing that is to be added: its key, or if nodes have that, with underscores before it."""
    names: dict[tuple[str, str], str] = {}
    for what, key in wanted:
        name = key
        while name in names.values() or any(name in node.metadata for node in nodes):
            name = f"_{name}"
        names[what, key] = name
        if name != key:
            message = f"nodes from {collection!r} have metadata of their own under {key!r}: it is kept, and the {what} is under"
            warn(f"{message} {name!r}")
    return names


def with_hidden(node: BaseNode, added: Mapping[str, Any]) -> BaseNode:
    """A copy of the node with more metadata, which language and embedding models aren't shown; the node if there is none."""
    if not added:
        return node
    llm = [name for name in node.excluded_llm_metadata_keys if name not in added]
    embed = [name for name in node.excluded_embed_metadata_keys if name not in added]
    return node.model_copy(
        update={
            "metadata": {**node.metadata, **added},
            "excluded_llm_metadata_keys": [*llm, *added],
            "excluded_embed_metadata_keys": [*embed, *added],
        }
    )


def _rebuild_nodes(points: Points, text_key: str, collection: str) -> list[BaseNode]:
    """Nodes from what LlamaIndex wrote; points that it didn't write, or wrote in its old format, each by themselves."""
    rebuilt = [_rebuild(point) for point in points]
    whole = [node for node in rebuilt if node is not None]
    if len(whole) == len(points):
        return whole
    readable = [point if node is not None else _drop_node(point) for node, point in zip(rebuilt, points, strict=True)]
    contents = read_contents(readable, PayloadMapping((_NODE_KEYS[0], text_key)), collection)
    return [
        node if node is not None else _legacy_node(point, content)
        for node, point, content in zip(rebuilt, readable, contents, strict=True)
    ]


def _rebuild(point: models.ScoredPoint) -> BaseNode | None:
    if not point.payload or _NODE_KEYS[0] not in point.payload:
        return None
    try:
        return metadata_dict_to_node(point.payload)
    except Exception:  # whatever is wrong with it: LlamaIndex's store falls back then, too
        return None


def _drop_node(point: models.ScoredPoint) -> models.ScoredPoint:
    """The point without the entries that no node could be made of."""
    payload = {key: value for key, value in (point.payload or {}).items() if key not in _NODE_KEYS}
    return point.model_copy(update={"payload": payload})


def _legacy_node(point: models.ScoredPoint, content: Content) -> TextNode:
    """The node that LlamaIndex's store makes of a payload without `_node_content`."""
    try:
        # without the store's text key, since the store doesn't pass it either
        metadata, info, relationships = legacy_metadata_dict_to_node(copy.deepcopy(point.payload or {}))
        return TextNode(
            id_=str(point.id),
            text=content.text,
            metadata=metadata,
            start_char_idx=info.get("start"),
            end_char_idx=info.get("end"),
            relationships=relationships,
        )
    except Exception:  # "node_info" or "relationships" is a key of the collection's own
        return _text_node(point, content)


def _text_node(point: models.ScoredPoint, content: Content) -> TextNode:
    return TextNode(id_=str(point.id), text=content.text, metadata=content.metadata)


_NODE_CONTENT: Final = "_node_content"


def as_metadata_mode(value: object) -> MetadataMode:
    """The mode that `value` is or names.

    Raises:
        StrategyError: it is none.
    """
    try:
        return MetadataMode(value)
    except ValueError:
        listed = ", ".join(f"MetadataMode.{mode.name}" for mode in MetadataMode)
        raise StrategyError(f"metadata_mode is one of {listed}; got {value!r}") from None


def read_text(node: BaseNode, mode: MetadataMode = MetadataMode.EMBED) -> str:
    """A node's text with the metadata of that mode, which embedding models are shown if none is given; "" if it is alone."""
    return node.get_content(mode) if node.get_content(MetadataMode.NONE).strip() else ""


@dataclass(frozen=True)
class NodeText(PayloadMapping):
    """A payload mapping to what models read of the node that a point becomes."""

    reader: NodeReader = field(default_factory=NodeReader)
    mode: MetadataMode = MetadataMode.EMBED

    @classmethod
    def of(cls, reader: NodeReader, mode: MetadataMode, text_key: str) -> NodeText:
        """The mapping for a collection whose points become nodes by `reader`; `text_key` as for `NodeReader.read`."""
        keys = (_NODE_CONTENT, text_key) if reader.is_llama_index else as_mapping(reader.payload).text_keys
        return cls(keys or (text_key,), reader=reader, mode=mode)  # a function has no keys

    @property
    def source(self) -> TextSource:
        bare = TextSource(keys=self.text_keys[-1:], nodes=True)
        return replace(
            bare if self.reader.is_llama_index else as_mapping(self.reader.payload).source,
            metadata=None if self.mode == MetadataMode.NONE else self.mode.value,
        )

    def has_text(self, payload: Mapping[str, Any]) -> bool:
        return super().has_text(payload) if self.reader.is_llama_index else as_mapping(self.reader.payload).has_text(payload)

    def content(self, payload: Mapping[str, Any]) -> Content:
        point = models.ScoredPoint.model_construct(id=0, version=0, score=0.0, payload=dict(payload))
        return Content(read_text(self.reader.node(point, self.text_keys[-1]), self.mode), {})

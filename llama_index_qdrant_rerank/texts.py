"""What a model that reads texts is given of a node, and of the point that becomes a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llama_index.core.schema import BaseNode, MetadataMode
from qdrant_client import models

from qdrant_rerank import PayloadMapping
from qdrant_rerank.payload import Content, as_mapping

from .nodes import NodeReader

__all__ = ["NodeText", "text_read"]

_NODE_CONTENT: Final = "_node_content"


def text_read(node: BaseNode) -> str:
    """A node's text with the metadata that embedding models are shown; "" if it has metadata alone."""
    return node.get_content(MetadataMode.EMBED) if node.get_content(MetadataMode.NONE).strip() else ""


@dataclass(frozen=True)
class NodeText(PayloadMapping):
    """A payload mapping to what models read of the node that a point becomes."""

    reader: NodeReader = field(default_factory=NodeReader)

    @classmethod
    def of(cls, reader: NodeReader, text_key: str) -> NodeText:
        """The mapping for a collection whose points become nodes by `reader`; `text_key` as for `NodeReader.read`."""
        keys = (_NODE_CONTENT, text_key) if reader.is_llama_index else as_mapping(reader.payload).text_keys
        return cls(keys or (text_key,), reader=reader)  # a function has no keys

    def has_text(self, payload: Mapping[str, Any]) -> bool:
        return super().has_text(payload) if self.reader.is_llama_index else as_mapping(self.reader.payload).has_text(payload)

    def content(self, payload: Mapping[str, Any]) -> Content:
        point = models.ScoredPoint.model_construct(id=0, version=0, score=0.0, payload=dict(payload))
        return Content(text_read(self.reader.node(point, self.text_keys[-1])), {})

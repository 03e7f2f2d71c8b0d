"""What a model that reads texts is given of a node, and of the point that becomes a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from llama_index.core.schema import BaseNode, MetadataMode
from qdrant_client import models

from qdrant_rerank import PayloadMapping, StrategyError
from qdrant_rerank._internals import Content, TextSource, as_mapping

from .nodes import NodeReader

__all__ = ["NodeText", "metadata_mode_of", "text_read"]

_NODE_CONTENT: Final = "_node_content"


def metadata_mode_of(value: object) -> MetadataMode:
    """The mode that `value` is or names.

    Raises:
        StrategyError: it is none.
    """
    try:
        return MetadataMode(value)
    except ValueError:
        listed = ", ".join(f"MetadataMode.{mode.name}" for mode in MetadataMode)
        raise StrategyError(f"metadata_mode is one of {listed}; got {value!r}") from None


def text_read(node: BaseNode, mode: MetadataMode = MetadataMode.EMBED) -> str:
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
        return Content(text_read(self.reader.node(point, self.text_keys[-1]), self.mode), {})

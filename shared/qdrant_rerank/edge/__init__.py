"""Qdrant's Rust engine in this process (qdrant-edge), behind the methods of `QdrantClient`: `EdgeClient`; `AsyncEdgeClient`.

    from qdrant_rerank.edge import EdgeClient

Importing it needs the extra `edge`. `docs/engines.md` says where the engines differ.

`client` is what callers see, made of `reading`, `writing` and `collections`; `shards` opens and keeps the engine's shards, if
`space` finds room for it; `log` makes every change, of what can be read again;
`translate_*`, `vectors`, `points` and `ids` turn `qdrant_client.models` into the engine's objects and back; `describe`
says what a collection is; `groups` does group queries; `binding` says what the engine is and what its errors mean.
"""

from __future__ import annotations

from ..errors import EngineError
from .binding import VERSION  # first: it says what to install
from .client import AsyncEdgeClient, EdgeClient

__all__ = ["VERSION", "AsyncEdgeClient", "EdgeClient", "EngineError"]

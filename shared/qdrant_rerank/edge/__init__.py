"""Qdrant's Rust engine in this process (qdrant-edge), behind the methods of `QdrantClient`: `EdgeClient`; `AsyncEdgeClient`.

    from qdrant_rerank.edge import EdgeClient

Importing it needs the extra `edge`. `docs/engines.md` says where the engines differ.

`client` is what callers see, with the methods of `collections`; `shards` opens and keeps the engine's shards, if the disk has
room; `changes` checks every change whole; `groups` does group queries; `translate_*` and `values` turn `qdrant_client.models`
into the engine's objects and back.
"""

from __future__ import annotations

from .._lazy import load_extra
from ..errors import EngineError

load_extra("qdrant_edge", "the embedded Rust engine", "edge")  # every module here imports it

from .client import AsyncEdgeClient, EdgeClient  # noqa: E402
from .values import VERSION  # noqa: E402

__all__ = ["VERSION", "AsyncEdgeClient", "EdgeClient", "EngineError"]

"""Qdrant's Rust engine in this process (qdrant-edge), behind the methods of `QdrantClient`: `EdgeClient`; `AsyncEdgeClient`.

    from qdrant_rerank.edge import EdgeClient

Importing it needs the extra `edge`. `docs/engines.md` says where the engines differ.

`client` is what callers see, with the methods of `collections`; `shards` opens and keeps the engine's shards, if the disk has
room; `changes` checks every change whole; `groups` does group queries; `translate_*` and `values` turn `qdrant_client.models`
into the engine's objects and back.
"""

from __future__ import annotations

from ..errors import EngineError, MissingExtra

try:
    import qdrant_edge as _engine  # noqa: F401  # pyright: ignore[reportUnusedImport]  # every module here uses it
except ImportError as _error:  # pragma: no cover  # tested in a process of its own
    raise MissingExtra("the embedded Rust engine", "edge") from _error

from .client import AsyncEdgeClient, EdgeClient
from .values import VERSION

__all__ = ["VERSION", "AsyncEdgeClient", "EdgeClient", "EngineError"]

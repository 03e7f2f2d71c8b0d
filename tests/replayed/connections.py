"""How the replayed tests reach their server."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_client import AsyncQdrantClient, QdrantClient

__all__ = ["Connection"]


@dataclass(frozen=True)
class Connection:
    """A server, over REST or gRPC.

    Attributes:
        url: where it is.
        keys: API keys by what they may do.
        grpc_port: for gRPC; None for REST.
    """

    url: str
    keys: Mapping[str, str]
    grpc_port: int | None = None

    @property
    def is_grpc(self) -> bool:
        return self.grpc_port is not None

    def client(self, key: str | None = "all", **more: Any) -> QdrantClient:
        """A sync client with one of the keys."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
            return QdrantClient(**self.options(key) | more)

    def async_client(self, key: str | None = "all") -> AsyncQdrantClient:
        """An async client with one of the keys."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
            return AsyncQdrantClient(**self.options(key))

    def options(self, key: str | None = "all") -> dict[str, Any]:
        """What the clients take."""
        plain: dict[str, Any] = {"headers": {"accept-encoding": "identity"}}  # recordings are to be read by people
        own = plain if self.grpc_port is None else {"prefer_grpc": True, "grpc_port": self.grpc_port}
        return {
            "url": self.url,
            "api_key": None if key is None else self.keys[key],
            "check_compatibility": False,
            "timeout": 30,
            **own,
        }

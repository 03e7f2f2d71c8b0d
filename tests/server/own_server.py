"""A Qdrant server that a test starts, kills and starts again, where `QDRANT_BINARY` names the program."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

__all__ = ["KEY", "OwnServer"]

KEY = "a key for tests, of at least 32 characters"


class OwnServer:
    """The server, on ports of its own and over an empty folder; a context manager that runs it while it is entered.

    Args:
        key: the API key that it demands; JWTs signed with it are accepted too.
        settings: more of the server's settings, as its environment takes them: `{"SERVICE__MAX_REQUEST_SIZE_MB": "1"}`.
    """

    def __init__(self, key: str | None = None, **settings: str) -> None:
        binary = os.environ.get("QDRANT_BINARY")
        if not binary:
            pytest.skip("starts a server of its own: set QDRANT_BINARY to the program")
        self.binary, self.key, self.settings = binary, key, settings
        self.port, self.grpc_port = _free_ports(2)
        self._folder = tempfile.TemporaryDirectory(prefix="qdrant-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def options(self, grpc: bool = False, **more: Any) -> dict[str, Any]:
        """What qdrant-client's clients take."""
        ports = {"prefer_grpc": True, "grpc_port": self.grpc_port} if grpc else {}
        return {"url": self.url, "check_compatibility": False, "timeout": 30, **ports, **more}

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        own = {
            "SERVICE__HTTP_PORT": str(self.port),
            "SERVICE__GRPC_PORT": str(self.grpc_port),
            "SERVICE__HOST": "127.0.0.1",
            "STORAGE__STORAGE_PATH": str(Path(self._folder.name, "storage")),
            "STORAGE__SNAPSHOTS_PATH": str(Path(self._folder.name, "snapshots")),
            "TELEMETRY_DISABLED": "true",
            "LOG_LEVEL": "ERROR",
        } | ({} if self.key is None else {"SERVICE__API_KEY": self.key, "SERVICE__JWT_RBAC": "true"})
        environment = {f"QDRANT__{name}": value for name, value in (own | self.settings).items()}
        self._process = subprocess.Popen(
            [self.binary],
            cwd=self._folder.name,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends = time.monotonic() + 30
        while not self._is_ready():
            assert self._process.poll() is None, "the server didn't start"
            assert time.monotonic() < ends, "the server isn't ready after 30 seconds"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200
        except httpx.TransportError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        self._folder.cleanup()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return found

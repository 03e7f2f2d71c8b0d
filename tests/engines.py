"""The engine that a run of the tests is on: local mode, qdrant-edge, or a server over REST or gRPC.

Tests open their clients here, so that what they assert is asserted on each engine:

    client = open_client()    # of the run's engine, empty; closed and cleaned up after the test

    $ pytest --engine=edge
    $ QDRANT_URL=http://localhost:6333 pytest --engine=grpc-3-shards-indexed

A server is shared: each client has collections of its own there, as every name that it is given gets a prefix, and loses
it again in answers. The prefix is one of the client's options, so a client made from these has the same collections.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
import qdrant_client.async_qdrant_client as async_module
import qdrant_client.qdrant_client as sync_module
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.async_qdrant_remote import AsyncQdrantRemote
from qdrant_client.qdrant_remote import QdrantRemote

__all__ = [
    "BOTH",
    "Engine",
    "EngineClient",
    "add_indexes",
    "clean_all",
    "clean_since",
    "compared",
    "current",
    "mark",
    "on_server",
    "open_async_client",
    "open_client",
    "options",
    "parse",
    "skip_on_shards",
    "use",
]

BOTH = (
    "tests.core.test_engine_laws",
    "tests.core.test_executor",
    "tests.core.test_explained_results",
    "tests.core.test_explained_ties",
    "tests.core.test_groups",
    "tests.core.test_ties",
    "tests.core.test_filters",
    "tests.core.test_distances",
)
"""What a run without `--engine` runs on qdrant-edge as well as on local mode; not all, as the time of CI is bounded."""

PREFIX = f"test_{os.environ.get('PYTEST_XDIST_TESTRUNUID', uuid.uuid4().hex)[:8]}_"
"""What the names of a run's collections start with on a server."""


@dataclass(frozen=True)
class Engine:
    """What answers a run's queries.

    Attributes:
        kind: what the library calls it.
        grpc: a server is spoken to over gRPC instead of REST.
        shards: how many shards collections get on a server.
        indexed: collections get the payload indexes that `add_indexes` is given.
    """

    kind: Literal["local", "edge", "server"] = "local"
    grpc: bool = False
    shards: int = 1
    indexed: bool = False

    @property
    def name(self) -> str:
        """As `--engine` takes it: `"grpc-3-shards-indexed"`."""
        parts: list[str] = [self.kind if self.kind != "server" else "grpc" if self.grpc else "rest"]
        parts += [f"{self.shards}-shards"] if self.shards > 1 else []
        return "-".join([*parts, "indexed"] if self.indexed else parts)


LOCAL = Engine()
ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        LOCAL,
        Engine("edge"),
        Engine("edge", indexed=True),
        *(Engine("server", grpc, shards, indexed) for grpc in (False, True) for shards in (1, 3) for indexed in (False, True)),
    )
}
_current = [LOCAL]


def parse(name: str) -> Engine:
    """The engine of a name.

    Raises:
        ValueError: there is none, or it is a server's and the environment names no server.
    """
    if name not in ENGINES:
        raise ValueError(f"no engine {name!r}; there are {', '.join(ENGINES)}")
    if ENGINES[name].kind == "server" and not os.environ.get("QDRANT_URL"):
        raise ValueError(f"the engine {name!r} needs a server: set QDRANT_URL (and QDRANT_GRPC_PORT, QDRANT_API_KEY)")
    return ENGINES[name]


def current() -> Engine:
    """The engine that `open_client` opens."""
    return _current[0]


def use(engine: Engine) -> Engine:
    """Make an engine the current one; returns the one before."""
    before = current()
    _current[0] = engine
    if engine.kind == "server":
        _prefix_remote_clients()
    return before


def compared() -> list[str]:
    """Names of the engines on which a module that compares engines runs its tests, the run's own and its indexed form.

    Both engines in process, where the run is on local mode: they cost no set-up.
    """
    plain = replace(current(), indexed=False)
    own = [LOCAL, Engine("edge"), Engine("edge", indexed=True)] if plain == LOCAL else [plain, replace(plain, indexed=True)]
    return [engine.name for engine in own]


class EngineClient(QdrantClient):
    """A client of the current engine, without collections; the base of clients that count calls, wait, or fail."""

    def __init__(self) -> None:
        if current().kind == "edge":
            pytest.skip("a class derived from qdrant-client's own, which isn't qdrant-edge's")
        chosen = options()
        super().__init__(**chosen)
        self.collections: Collections | None = chosen.get("collections")


def open_client(engine: str | None = None, *, keep: bool = False) -> QdrantClient:
    """A sync client of an engine, the current one unless named, without collections.

    Args:
        engine: its name.
        keep: until the end of the run, for clients that tests share; else until the fixture or test that opens it ends.
    """
    chosen = current() if engine is None else parse(engine)
    if chosen.kind == "edge":
        return _open_edge(keep)
    return QdrantClient(**options(chosen, keep=keep))


def open_async_client() -> AsyncQdrantClient:
    """An async client of the current engine, without collections."""
    if current().kind == "edge":
        pytest.skip("qdrant-edge has no AsyncQdrantClient")
    return AsyncQdrantClient(**options())


def options(engine: Engine | None = None, *, keep: bool = False) -> dict[str, Any]:
    """What `QdrantClient` and `AsyncQdrantClient` take to open an engine that isn't edge, without collections."""
    engine = engine or current()
    if engine.kind != "server":
        return {"location": ":memory:"}
    return _server_options() | {"prefer_grpc": engine.grpc, "collections": Collections(_next_prefix(), engine.shards, keep)}


def on_server(client: QdrantClient, collection: str) -> str:
    """What the server itself calls a collection of this client, for whoever asks it otherwise."""
    named: Collections = client._client.collections  # type: ignore[attr-defined]  # of `_prefixed`
    return str(named.on_server(collection))


def add_indexes(client: Any, collection: str, indexes: Mapping[str, Any], engine: str | None = None) -> None:
    """Make these payload indexes, if the engine is one of those with indexes."""
    if (current() if engine is None else ENGINES[engine]).indexed:
        for key, kind in indexes.items():
            client.create_payload_index(collection, key, kind)


def skip_on_shards(reason: str) -> None:
    """Leave a test out where collections have several shards."""
    if current().shards > 1:
        pytest.skip(reason)


def mark() -> tuple[int, int]:
    """A place in the list of what has been opened so far, for `clean_since`."""
    return len(_edges), len(_made)


def clean_since(place: tuple[int, int]) -> None:
    """Close and remove what was opened, and the collections that were made, since then; but what is to be kept."""
    edges, made = place
    for client, folder, keep in _edges[edges:]:
        if not keep:
            _close(client, folder)
    _edges[edges:] = [each for each in _edges[edges:] if each[2]]
    _delete([name for name, keep in _made[made:] if not keep])
    _made[made:] = [each for each in _made[made:] if each[1]]


def clean_all() -> None:
    """Remove all that this process of the run has made."""
    for client, folder, _ in _edges:
        _close(client, folder)
    _edges.clear()
    if _made or current().kind == "server":
        client = QdrantClient(**_server_options())
        own = f"{PREFIX}{_worker()}_"  # other processes of this run may be at work still
        _delete([each.name for each in client.get_collections().collections if each.name.startswith(own)])
        _made.clear()


# qdrant-edge

_edges: list[tuple[Any, str, bool]] = []


def _open_edge(keep: bool) -> QdrantClient:
    pytest.importorskip("qdrant_edge")
    from qdrant_rerank.edge import EdgeClient

    folder = tempfile.mkdtemp(prefix="edge-")
    client = EdgeClient(folder)
    _edges.append((client, folder, keep))
    return client


def _close(client: Any, folder: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.close()
    shutil.rmtree(folder, ignore_errors=True)


# a server

_made: list[tuple[str, bool]] = []
_numbers = itertools.count()


@dataclass(frozen=True)
class Collections:
    """What a client's collections on a server have in common: how names start, shards, and whether tests share them."""

    prefix: str
    shards: int
    keep: bool
    listeners: list[Callable[[str], None]] = field(default_factory=list)  # get each call's name, of sync and async clients

    def on_server(self, name: Any) -> Any:
        """A collection's name on the server, from the test's."""
        return self.prefix + name if isinstance(name, str) and not name.startswith(self.prefix) else name

    def in_test(self, name: str) -> str:
        """A collection's name in the test, from the server's."""
        return name.removeprefix(self.prefix)

    def own(self, named: Iterable[Any], *keys: str) -> list[Any]:
        """Those of these answers that are about own collections, with the names that tests use."""
        return [
            each.model_copy(update={key: self.in_test(getattr(each, key)) for key in keys})
            for each in named
            if getattr(each, keys[0]).startswith(self.prefix)
        ]


def _server_options() -> dict[str, Any]:
    return {
        "url": os.environ["QDRANT_URL"],
        "grpc_port": int(os.environ.get("QDRANT_GRPC_PORT", "6334")),
        "api_key": os.environ.get("QDRANT_API_KEY"),
        "timeout": 60,
        "check_compatibility": False,
    }


def _worker() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def _next_prefix() -> str:
    return f"{PREFIX}{_worker()}_{next(_numbers)}_"


def _delete(names: Iterable[str]) -> None:
    found = list(names)
    if found:
        client = QdrantClient(**_server_options())
        for name in found:
            client.delete_collection(name)
        client.close()


@functools.cache
def _prefix_remote_clients() -> None:
    """Replace qdrant-client's classes for servers by ones that take `collections=` and put its prefix before names.

    What an executor sends past a client's methods gets the prefix, too.
    """
    sending: Any = importlib.import_module("qdrant_rerank.search")
    for module, kind in ((sync_module, QdrantRemote), (async_module, AsyncQdrantRemote)):
        made = _prefixed(kind)
        setattr(module, kind.__name__, made)
        setattr(sending, kind.__name__, made)
    write = sending._Rest.write

    def write_with_prefix(self: Any, collection: str, endpoint: str, *more: Any) -> Any:
        own: Collections | None = self.api.collections
        for listen in own.listeners if own is not None else ():
            listen({"query": "query_points", "query/batch": "query_batch_points"}[endpoint])
        return write(self, collection if own is None else own.on_server(collection), endpoint, *more)

    sending._Rest.write = write_with_prefix


def _prefixed(kind: type[Any]) -> type[Any]:
    class Prefixed(kind):  # type: ignore[misc]  # a class made by a function
        def __init__(self, *arguments: Any, collections: Collections | None = None, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.collections = self.http.client.collections = collections

    for name, original in inspect.getmembers(kind, inspect.isfunction):
        method: Callable[..., Any] = original
        if not name.startswith("_"):
            if name == "info" or _NAMES.keys() & set(inspect.signature(method).parameters):
                method = _with_prefix(name, method)
            if name in _NAMING:
                method = _without_prefix(method, *_NAMING[name])
            if name in ("query_points", "query_batch_points"):
                del method.__wrapped__  # type: ignore[attr-defined]  # by which an executor knows what isn't the client's own
            setattr(Prefixed, name, method)
    Prefixed.__name__ = Prefixed.__qualname__ = kind.__name__
    return Prefixed


_NAMING = {
    "get_collections": ("collections", "name"),
    "get_aliases": ("aliases", "alias_name", "collection_name"),
    "get_collection_aliases": ("aliases", "alias_name", "collection_name"),
}
"""Methods whose answers name collections: the list of the answer, and the attributes that hold names."""


def _with_prefix(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        own: Collections | None = self.collections
        if own is None:
            return method(self, *arguments, **options)
        for listen in own.listeners:
            listen(name)
        bound = signature.bind(self, *arguments, **options).arguments
        for key in bound.keys() & _NAMES.keys():
            bound[key] = _NAMES[key](own, bound[key])
        if name == "create_collection":
            _made.append((bound["collection_name"], own.keep))
            if own.shards > 1 and bound.get("shard_number") is None and bound.get("sharding_method") is None:
                bound["shard_number"] = own.shards
        more = bound.pop("kwargs", {})
        return method(**bound, **more)

    return call


def _without_prefix(method: Callable[..., Any], listed: str, *keys: str) -> Callable[..., Any]:
    def cut(self: Any, answer: Any) -> Any:
        return answer if self.collections is None else answer.model_copy(
            update={listed: self.collections.own(getattr(answer, listed), *keys)}
        )  # fmt: skip

    if inspect.iscoroutinefunction(inspect.unwrap(method)):

        @functools.wraps(method)
        async def await_and_cut(self: Any, *arguments: Any, **options: Any) -> Any:
            return cut(self, await method(self, *arguments, **options))

        return await_and_cut

    @functools.wraps(method)
    def call_and_cut(self: Any, *arguments: Any, **options: Any) -> Any:
        return cut(self, method(self, *arguments, **options))

    return call_and_cut


def _rename_lookup(own: Collections, value: Any) -> Any:
    return own.on_server(value) if value is None or isinstance(value, str) else _with_name(own, value, "collection")


def _rename_requests(own: Collections, requests: Any) -> Any:
    return [
        request.model_copy(update={"lookup_from": _rename_lookup(own, request.lookup_from)})
        if getattr(request, "lookup_from", None) is not None
        else request
        for request in requests
    ]


def _rename_aliases(own: Collections, operations: Any) -> Any:
    return [
        operation.model_copy(
            update={part: _with_name(own, getattr(operation, part), *type(getattr(operation, part)).model_fields)}
        )
        for operation in operations
        for part in type(operation).model_fields
    ]


def _with_name(own: Collections, value: Any, *keys: str) -> Any:
    return value.model_copy(update={key: own.on_server(getattr(value, key)) for key in keys if hasattr(value, key)})


_NAMES: Mapping[str, Callable[[Collections, Any], Any]] = {
    "collection_name": Collections.on_server,
    "lookup_from": _rename_lookup,
    "with_lookup": _rename_lookup,
    "requests": _rename_requests,
    "change_aliases_operations": _rename_aliases,
}

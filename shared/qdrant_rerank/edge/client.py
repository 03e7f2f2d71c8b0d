"""`EdgeClient` and `AsyncEdgeClient`: the embedded Rust engine behind the methods of qdrant-client's two clients."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice, repeat
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, Self, TypeVar

import qdrant_edge as engine
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is another, of its fastembed mixin

from ..errors import ClientError
from .changes import change_of, make_change
from .groups import group_hits
from .shards import Folder, Shard
from .translate_config import collection_info, config_of, index_of, read_metadata, vector_parts, write_metadata
from .translate_filter import filter_of
from .translate_query import order_by as order_of
from .translate_query import payload_selector, request_of, whole
from .values import REASONS, VERSION, check_extras, describe_misfits, engine_id, to_record, to_scored_point, wire_id

P = ParamSpec("P")
R = TypeVar("R")

_DONE: Final = models.UpdateResult(status=models.UpdateStatus.COMPLETED)
"""What every change returns: it is done."""
_NEEDLESS: Final = {"max_retries", "method", "parallel", "wait"}  # which make no difference in one process


def _as_in(theirs: Callable[P, R]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Decorate a method that is called as `QdrantClient`'s is, and takes the arguments that the engine has a use for.

    Those of `REASONS` are refused where they are given (not None), and those that make no difference are dropped.
    """
    signature = inspect.signature(theirs)

    def decorate(method: Callable[..., R]) -> Callable[P, R]:
        own = inspect.signature(method).parameters.keys()
        plain = (signature.parameters.keys() - REASONS.keys() - _NEEDLESS) | own

        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> R:
            if len(args) < 2 and kwargs.keys() <= plain:
                return method(self, *args, **kwargs)
            given = signature.bind_partial(self, *args, **kwargs).arguments
            if unknown := given.pop("kwargs", {}):
                raise ClientError(f"{method.__name__} takes no {', '.join(map(repr, unknown))}")
            check_extras(**{name: value for name, value in given.items() if name in REASONS and name not in own})
            return method(**{name: value for name, value in given.items() if name in plain})

        return call  # type: ignore[return-value]  # bind() has just made it so

    return decorate


def _make_change_method(theirs: Callable[P, R], operation: Any, asked: Any = None) -> Callable[P, R]:
    """Make a method that is called as `QdrantClient`'s, and makes one `operation`: of `asked`, or of its only argument.

    The method raises as `batch_update_points`.
    """
    name, left_out = theirs.__name__, {*REASONS, *_NEEDLESS, "kwargs"}
    signature = inspect.Signature([each for each in inspect.signature(theirs).parameters.values() if each.name not in left_out])

    def method(self: EdgeClient, collection_name: str, **given: Any) -> Any:
        signature.bind(self, collection_name, **given)  # names what is missing
        if "vectors" in given:
            given["vector"] = given.pop("vectors")
        [change] = given.values() if asked is None else [asked.model_construct(**given)]
        [done] = self.batch_update_points(collection_name, [operation.model_construct(**{name: change})])
        return done

    method.__dict__["__signature__"] = signature
    method.__name__, method.__doc__ = name, f"As `QdrantClient.{name}`."
    return _as_in(theirs)(method)


_LOCAL_MODE: Final = "meta.json"  # what qdrant-client's local mode keeps in its folder


class EdgeClient(QdrantClient):  # to type checkers and `isinstance`: none of that class's code is run
    """Qdrant's Rust engine in this process, over a folder: a `QdrantClient` that needs no server.

        client = EdgeClient("qdrant")            # qdrant/docs/ is the collection "docs", qdrant/faq/ another
        executor = Executor(client, "docs", encoders=…)

    A collection is opened when it is first used, and kept open until `close()`. It has one owner: opening it a second
    time, in this process or another, is a `ClientError`, and so is any call in a process that was forked from the owner.
    Every change is in a write-ahead log when its call returns, and survives a crash of the process; what the log couldn't be
    read again with, and what the disk may have no room for (64 MB stay free), is refused. Many threads may share a client; the
    engine works for one at a time. A copy is the client itself.

    Methods that the engine has no means for, and arguments that it can't honour, raise `ClientError` and say which; what
    the engine itself refuses is an `EngineError`. Formulas are translated once for each `models.FormulaQuery` object:
    make a new one rather than change one that was used.

    Args:
        path: the folder, made with the first collection.
        collection: the path itself is this one collection, e.g. a shard that another program made, or a snapshot.
    """

    engine: Final[Literal["edge"]] = "edge"

    def __init__(self, path: str | PathLike[str], *, collection: str | None = None) -> None:
        if path == ":memory:":
            raise ClientError(
                "qdrant-edge keeps its data in a folder: pass one, e.g. tempfile.mkdtemp(), instead of ':memory:'"
            )
        self._folder = Folder(Path(path), collection)
        if self._folder.path.exists() and not self._folder.path.is_dir():
            raise ClientError(f"{self._folder.path} is a file; an EdgeClient takes a folder")
        if (self._folder.path / _LOCAL_MODE).exists():
            raise ClientError(
                f"{self._folder.path} was written by qdrant-client's local mode, which qdrant-edge can't read: "
                "QdrantClient(path=…) can; or fill another folder"
            )

    def __repr__(self) -> str:
        only = "" if self._folder.only is None else f", collection={self._folder.only!r}"
        return f"EdgeClient({str(self._folder.path)!r}{only})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # a forked process leaves the block with nothing of its own to close (tests/edge/test_fork.py has one)
        if not self._folder.is_foreign:  # pragma: no branch
            self.close()

    def __del__(self) -> None:
        if hasattr(self, "_folder") and not self._folder.is_foreign:  # else the constructor failed, or this is a forked process
            self.close()

    def __copy__(self, memo: object = None) -> Self:
        return self  # a folder has one owner; a second client that closes it would close it for both

    __deepcopy__ = __copy__

    def __reduce__(self) -> Any:
        raise ClientError(
            f"an EdgeClient can't be pickled, nor sent to another process: {self._folder.path} has one owner. Send the path, "
            "and make an EdgeClient there once this one is closed; or use a Qdrant server"
        )

    def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        """Write out what is pending and let go of the folder; a second call does nothing.

        Raises:
            ClientError: this is a forked process, to which the folder doesn't belong.
            EngineError: what is pending can't be written.
        """
        self._folder.close()

    def info(self) -> models.VersionInfo:
        """The version of Qdrant that the engine counts as."""
        self._folder.check_process()
        return models.VersionInfo(title="qdrant-edge", version=VERSION)

    def _shard(self, collection_name: str) -> Shard:
        return self._folder.shard(collection_name)

    # Collections: each is a folder; its metadata is a file of ours in it

    @_as_in(QdrantClient.get_collection)
    def get_collection(self, collection_name: str) -> models.CollectionInfo:
        """A collection's vectors, payload indexes and counts.

        Raises:
            EngineError: there is no such collection (a ValueError, too); lists the others.
        """
        shard = self._shard(collection_name)
        with shard.hold("reading") as held:
            return collection_info(shard.folder, held.info())

    @_as_in(QdrantClient.get_collections)
    def get_collections(self) -> models.CollectionsResponse:
        return models.CollectionsResponse(
            collections=[models.CollectionDescription(name=name) for name in self._folder.names()]
        )

    @_as_in(QdrantClient.collection_exists)
    def collection_exists(self, collection_name: str) -> bool:
        return collection_name in self._folder.names()

    @_as_in(QdrantClient.get_aliases)
    def get_aliases(self) -> models.CollectionsAliasesResponse:
        """No aliases: the engine has none."""
        self._folder.check_process()
        return models.CollectionsAliasesResponse(aliases=[])

    @_as_in(QdrantClient.create_collection)
    def create_collection(
        self,
        collection_name: str,
        vectors_config: models.VectorParams | Mapping[str, models.VectorParams] | None = None,
        sparse_vectors_config: Mapping[str, models.SparseVectorParams] | None = None,
        hnsw_config: Any = None,
        on_disk_payload: bool | None = None,
        metadata: dict[str, Any] | None = None,
        timeout: int | None = None,
        **others: Any,
    ) -> bool:
        """As `QdrantClient.create_collection`, of one shard.

        Raises:
            ClientError: an option isn't passed on to the engine; names it.
            EngineError: there is one of that name, which is a ValueError, too.
        """
        for counted in ("shard_number", "replication_factor", "write_consistency_factor"):
            if others.get(counted) == 1:
                del others[counted]
        check_extras(**others, timeout=timeout)
        shard = self._folder.create(
            collection_name, config_of(vectors_config, sparse_vectors_config, hnsw_config, on_disk_payload)
        )
        if metadata:
            with shard.hold("writing the metadata of"):
                write_metadata(shard.folder, to_jsonable_python(metadata))
        return True

    @_as_in(QdrantClient.recreate_collection)
    def recreate_collection(self, collection_name: str, **options: Any) -> bool:
        self.delete_collection(collection_name)
        return self.create_collection(collection_name, **options)

    def update_collection(
        self, collection_name: str, *args: Any, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> bool:
        """As `QdrantClient.update_collection`, of the metadata alone, whose given keys replace the old ones."""
        if args or kwargs:
            named = ", ".join(kwargs) or "positional arguments"
            raise ClientError(f"only the metadata of a collection can be changed in qdrant-edge, not {named}")
        shard = self._shard(collection_name)
        with shard.hold("writing the metadata of"):
            write_metadata(shard.folder, read_metadata(shard.folder) | to_jsonable_python(metadata or {}))
        return True

    @_as_in(QdrantClient.delete_collection)
    def delete_collection(self, collection_name: str) -> bool:
        return self._folder.delete(collection_name)

    @_as_in(QdrantClient.create_payload_index)
    def create_payload_index(
        self, collection_name: str, field_name: str, field_schema: Any = None, field_type: Any = None
    ) -> models.UpdateResult:
        """An index of another type on the same key is replaced."""
        schema = index_of(field_type if field_schema is None else field_schema)
        made = make_change("create_field_index", everything=True, field_name=field_name, schema=schema)
        self._shard(collection_name).update(made)
        return _DONE

    @_as_in(QdrantClient.delete_payload_index)
    def delete_payload_index(self, collection_name: str, field_name: str) -> models.UpdateResult:
        self._shard(collection_name).update(make_change("delete_field_index", field_name=field_name))
        return _DONE

    def create_vector_name(
        self,
        collection_name: str,
        vector_name: str,
        vector_name_config: Any,
        wait: bool = True,
        ordering: Any = None,
        timeout: int | None = None,
        **others: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.create_vector_name` (from qdrant-client 1.18): a vector that no point has yet."""
        check_extras(ordering=ordering, timeout=timeout, **others)
        self._shard(collection_name).add_vector(make_change(vector_name=vector_name, **vector_parts(vector_name_config)))
        return _DONE

    def optimize(self, collection_name: str) -> bool:
        """Build what makes searches fast (HNSW graphs over large parts, fewer segments); whether there was work to do.

        Without it searches compare all vectors, which is exact. Takes seconds to minutes, during which no other Python
        thread runs; worth it from about 50,000 points on. Not in `QdrantClient`: a server does it by itself.
        """
        return self._shard(collection_name).optimize()

    # Changes: done, and in the write-ahead log, when their call returns; each is checked whole before any of it is done

    @_as_in(QdrantClient.batch_update_points)
    def batch_update_points(self, collection_name: str, update_operations: Sequence[Any]) -> list[models.UpdateResult]:
        """As `QdrantClient.batch_update_points`: one after the other, but none if one of them can't be made.

        Raises:
            QueryError: one of them can't be stored, or couldn't be read again; names point and key.
            EngineError: the disk may have no room, or there is no point of one of the ids; what comes before is done.
        """
        shard = self._shard(collection_name)
        changes = [change_of(operation, shard.vectors) for operation in update_operations]
        with shard.hold("changes of"):
            for change in changes:
                if change is not None:
                    shard.update(change)
        return [_DONE for _ in changes]

    # all points are stored, or none
    upsert = _make_change_method(QdrantClient.upsert, models.UpsertOperation, models.PointsList)
    update_vectors = _make_change_method(QdrantClient.update_vectors, models.UpdateVectorsOperation, models.UpdateVectors)
    delete_vectors = _make_change_method(QdrantClient.delete_vectors, models.DeleteVectorsOperation, models.DeleteVectors)
    delete = _make_change_method(QdrantClient.delete, models.DeleteOperation)
    # where one of the ids isn't there, the other points are changed
    set_payload = _make_change_method(QdrantClient.set_payload, models.SetPayloadOperation, models.SetPayload)
    overwrite_payload = _make_change_method(QdrantClient.overwrite_payload, models.OverwritePayloadOperation, models.SetPayload)
    delete_payload = _make_change_method(QdrantClient.delete_payload, models.DeletePayloadOperation, models.DeletePayload)
    clear_payload = _make_change_method(QdrantClient.clear_payload, models.ClearPayloadOperation)

    @_as_in(QdrantClient.upload_points)
    def upload_points(self, collection_name: str, points: Iterable[Any], batch_size: int = 64, **options: Any) -> None:
        """As `QdrantClient.upload_points`: batch after batch in this process, whatever `parallel` says."""
        remaining = iter(points)
        while batch := list(islice(remaining, batch_size)):
            self.upsert(collection_name, batch, **options)

    @_as_in(QdrantClient.upload_collection)
    def upload_collection(
        self,
        collection_name: str,
        vectors: Any,
        payload: Iterable[dict[Any, Any]] | None = None,
        ids: Iterable[Any] | None = None,
        **options: Any,
    ) -> None:
        """As `QdrantClient.upload_collection`, whatever `parallel` says: vectors, payloads and ids are zipped."""
        if isinstance(vectors, Mapping):
            rows: Iterable[Any] = (dict(zip(vectors, row, strict=True)) for row in zip(*vectors.values(), strict=True))
        else:
            rows = vectors
        names = (str(uuid.uuid4()) for _ in count()) if ids is None else iter(ids)
        payloads = repeat(None) if payload is None else iter(payload)
        made = models.PointStruct.model_construct
        points = (made(id=one, vector=vector, payload=of) for vector, one, of in zip(rows, names, payloads, strict=False))
        self.upload_points(collection_name, points, **options)

    # Queries: one at a time, so that other threads, such as an event loop's, get their turn after each

    @_as_in(QdrantClient.query_points)
    def query_points(self, collection_name: str, **asked: Any) -> QueryResponse:
        """As `QdrantClient.query_points`.

        Raises:
            ClientError: it asks for what the engine can't do; names it.
            QueryError: the query is wrong in itself.
            EngineError: the engine refuses it, e.g. as a formula has no result for some candidate.
        """
        request = _request(**{"limit": 10, "with_payload": True, **asked})
        return QueryResponse.model_construct(points=_find(self._shard(collection_name), request))

    @_as_in(QdrantClient.query_batch_points)
    def query_batch_points(self, collection_name: str, requests: Sequence[Any]) -> list[QueryResponse]:
        """As `QdrantClient.query_batch_points`: no payload unless a request asks for it. Raises as `query_points`."""
        shard = self._shard(collection_name)
        return [QueryResponse.model_construct(points=_find(shard, request)) for request in requests]

    @_as_in(QdrantClient.query_points_groups)
    def query_points_groups(
        self,
        collection_name: str,
        group_by: str,
        limit: int = 10,
        group_size: int = 3,
        with_payload: Any = True,
        with_vectors: Any = False,
        **asked: Any,
    ) -> models.GroupsResult:
        """As `QdrantClient.query_points_groups`, by several queries where one can't tell; see `groups`."""
        limit, group_size = whole(limit, "limit", 1), whole(group_size, "group_size", 1)
        shard, request = self._shard(collection_name), _request(**asked)
        lower = _is_distance(shard, request)
        with shard.hold("groups of"):  # the points may not change between the queries
            groups = group_hits(lambda sized: _find(shard, sized), request, group_by, limit, group_size, lower)
            _complete(shard, [hit for hits in groups.values() for hit in hits], with_payload, with_vectors)
        return models.GroupsResult(
            groups=[models.PointGroup.model_construct(id=key, hits=hits) for key, hits in groups.items()]
        )

    @_as_in(QdrantClient.retrieve)
    def retrieve(
        self, collection_name: str, ids: Sequence[Any], with_payload: Any = True, with_vectors: Any = False
    ) -> list[models.Record]:
        """As `QdrantClient.retrieve`, each point once."""
        asked = [engine_id(one) for one in ids]
        with describe_misfits("qdrant-edge refused what to retrieve"):
            found = self._shard(collection_name).retrieve(asked, payload_selector(with_payload), with_vectors or False)
        return [to_record(one) for one in found]

    @_as_in(QdrantClient.scroll)
    def scroll(
        self,
        collection_name: str,
        scroll_filter: Any = None,
        limit: int = 10,
        order_by: Any = None,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: Any = False,
    ) -> tuple[list[models.Record], Any]:
        """As `QdrantClient.scroll`; `order_by` needs a payload index on its key."""
        with describe_misfits("qdrant-edge refused what to scroll through"):
            asked = engine.ScrollRequest(
                offset=None if offset is None else engine_id(offset),
                limit=whole(limit, "limit", 1),
                filter=filter_of(scroll_filter),
                with_payload=payload_selector(with_payload),
                with_vector=with_vectors or False,
                order_by=None if order_by is None else order_of(order_by),
            )
        with self._shard(collection_name).hold("scrolling") as shard:
            found, following = shard.scroll(asked)
        return [to_record(one) for one in found], None if following is None else wire_id(following)

    @_as_in(QdrantClient.count)
    def count(self, collection_name: str, count_filter: Any = None, exact: bool = True) -> models.CountResult:
        with self._shard(collection_name).hold("counting") as shard:
            return models.CountResult(count=shard.count(engine.CountRequest(exact, filter_of(count_filter))))

    @_as_in(QdrantClient.facet)
    def facet(
        self, collection_name: str, key: str, facet_filter: Any = None, limit: int = 10, exact: bool = False
    ) -> models.FacetResponse:
        """As `QdrantClient.facet`; needs a payload index on the key, of a type that is matched by values.

        Raises:
            EngineError: there is no such index; a ValueError, too.
        """
        with describe_misfits(f"qdrant-edge refused a facet of {key!r}"):
            asked = engine.FacetRequest(key, whole(limit, "limit", 1), exact, filter_of(facet_filter))
        with self._shard(collection_name).hold("a facet of") as shard:
            hits: Any = shard.facet(asked)
        values = [str(hit.value) if isinstance(hit.value, uuid.UUID) else hit.value for hit in hits]
        return models.FacetResponse(
            hits=[models.FacetValueHit(value=value, count=hit.count) for value, hit in zip(values, hits, strict=True)]
        )


def _request(query_filter: Any = None, search_params: Any = None, with_vectors: Any = False, **asked: Any) -> Any:
    """The request for what a call asks, which has other names there."""
    return models.QueryRequest.model_construct(filter=query_filter, params=search_params, with_vector=with_vectors, **asked)


def _find(shard: Shard, request: models.QueryRequest) -> list[models.ScoredPoint]:
    with shard.hold("a query of"):
        return [to_scored_point(point, request.with_vector) for point in shard.query(request_of(request, shard))]


def _is_distance(shard: Shard, request: models.QueryRequest) -> bool:
    """Whether lower scores are better: of a search by a vector that is compared by distance."""
    query = request.query
    if isinstance(query, models.RecommendQuery):
        by_vector = query.recommend.strategy in (None, models.RecommendStrategy.AVERAGE_VECTOR)
    else:
        by_vector = isinstance(query, models.NearestQuery) or (not isinstance(query, BaseModel) and query is not None)
    info = shard.vectors.get(request.using or "")
    return by_vector and info is not None and info.distance in (models.Distance.EUCLID, models.Distance.MANHATTAN)


def _complete(shard: Shard, hits: list[models.ScoredPoint], with_payload: Any, with_vectors: Any) -> None:
    """Give the hits the payload and vectors that were asked for."""
    ids = list({hit.id: engine_id(hit.id) for hit in hits}.values())
    found = shard.retrieve(ids, payload_selector(with_payload), with_vectors or False)
    by_id = {one.id: one for one in map(to_record, found)}
    for hit in hits:
        hit.payload, hit.vector = by_id[hit.id].payload, by_id[hit.id].vector


def _make_refusal(name: str) -> Any:
    def method(self: EdgeClient, *args: Any, **kwargs: Any) -> Any:
        raise ClientError(f"EdgeClient has no {name}: it has the calls that this package makes. Use a Qdrant server")

    method.__name__ = name
    method.__doc__ = "Not there: raises `ClientError`."
    return method


def _refuse_the_rest() -> None:
    """Replace what would run `QdrantClient`'s own code, which needs a connection."""
    for name in dir(QdrantClient):
        if not name.startswith("_") and name not in vars(EdgeClient) and callable(getattr(QdrantClient, name)):
            setattr(EdgeClient, name, _make_refusal(name))


_refuse_the_rest()


class AsyncEdgeClient(AsyncQdrantClient):
    """An `EdgeClient` whose calls are awaited: for what takes an `AsyncQdrantClient`, such as LlamaIndex's `aclient=`.

        client = EdgeClient("qdrant")
        store = QdrantVectorStore("docs", client=client, aclient=AsyncEdgeClient(client))

    Calls run one after the other in one thread of its own, from any event loop. The engine holds Python's lock while it works,
    so that an event loop gets its turn between calls, not within one. A call that is cancelled while it runs is done all the
    same.

    Args:
        client: an `EdgeClient`, which stays open and its owner's; or the folder of one that is made, and closed with this.
        collection: as `EdgeClient`'s, with a folder.
    """

    engine: Final[Literal["edge"]] = "edge"
    _client: Any  # an EdgeClient; the base class knows its own

    def __init__(self, client: EdgeClient | str | PathLike[str], *, collection: str | None = None) -> None:
        self._is_owner = not isinstance(client, EdgeClient)
        if isinstance(client, EdgeClient):
            if collection is not None:
                raise ClientError("collection= goes with a folder; this is an EdgeClient, which has its own")
            self._client = client
        else:
            self._client = EdgeClient(client, collection=collection)
        self._pool = ThreadPoolExecutor(1, "qdrant-edge")
        self._closed = False

    def __repr__(self) -> str:
        return f"AsyncEdgeClient({self._client!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __copy__(self, memo: object = None) -> Self:
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> Any:
        return self._client.__reduce__()

    async def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        """Let go of the thread, and of the folder if this made the client; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._is_owner:
                await self._run(self._client.close)
        finally:
            self._pool.shutdown(wait=False)

    async def _call(self, name: str, args: Any, kwargs: Any) -> Any:
        if self._closed:
            raise ClientError(f"{self!r} is closed: make a new one")
        self._client._folder.check_process()  # a forked process has none of the threads
        return await self._run(functools.partial(getattr(self._client, name), *args, **kwargs))

    async def _run(self, call: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, contextvars.copy_context().run, call)


def _hand_on(name: str, is_async: bool) -> Any:
    async def call_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._call(name, args, kwargs)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._client, name)(*args, **kwargs)

    method: Any = call_async if is_async else call
    method.__name__, method.__doc__ = name, f"As `EdgeClient.{name}`."
    return method


def _hand_on_the_rest() -> None:
    """Give the class what `EdgeClient` has, and what it refuses; uploads at once, as `AsyncQdrantClient` doesn't await them."""
    for name in dir(EdgeClient):
        if name.startswith("_") or name in vars(AsyncEdgeClient) or not callable(getattr(EdgeClient, name)):
            continue
        theirs = getattr(AsyncQdrantClient, name, None)
        setattr(AsyncEdgeClient, name, _hand_on(name, theirs is None or inspect.iscoroutinefunction(theirs)))


_hand_on_the_rest()

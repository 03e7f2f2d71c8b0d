"""The client's collections: making, describing and deleting them, and their payload indexes; and how its methods are called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar

from pydantic_core import to_jsonable_python
from qdrant_client import QdrantClient, models

from ..errors import ClientError
from .changes import make_change
from .shards import Folder, Shard
from .translate_config import collection_info, config_of, index_of, read_metadata, write_metadata
from .values import REASONS, check_extras

__all__ = ["DONE", "Collections", "as_in"]

P = ParamSpec("P")
R = TypeVar("R")

DONE: Final = models.UpdateResult(status=models.UpdateStatus.COMPLETED)
"""What every change returns: it is done."""
_NEEDLESS: Final = {"max_retries", "method", "parallel", "wait"}  # which make no difference in one process


def as_in(theirs: Callable[P, R]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Decorate a method that is called as `QdrantClient`'s is, and takes the arguments that the engine has a use for.

    Those of `REASONS` are refused where they are given (not None), and those that make no difference are dropped.

    Raises:
        ClientError: an argument is refused, or `QdrantClient`'s method has none of that name; names each.
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


class Collections(QdrantClient):
    """A `QdrantClient` to type checkers and `isinstance`; none of that class's code is run.

    A collection is a folder; its metadata is a file of ours in it.
    """

    _folder: Folder

    def _shard(self, collection_name: str) -> Shard:
        return self._folder.shard(collection_name)

    @as_in(QdrantClient.get_collection)
    def get_collection(self, collection_name: str) -> models.CollectionInfo:
        """A collection's vectors, payload indexes and counts.

        Raises:
            EngineError: there is no such collection, which is a ValueError, too; lists those that there are.
        """
        shard = self._shard(collection_name)
        with shard.hold("reading") as held:
            return collection_info(shard.folder, held.info())

    @as_in(QdrantClient.get_collections)
    def get_collections(self) -> models.CollectionsResponse:
        """The collections in the folder."""
        return models.CollectionsResponse(
            collections=[models.CollectionDescription(name=name) for name in self._folder.names()]
        )

    @as_in(QdrantClient.collection_exists)
    def collection_exists(self, collection_name: str) -> bool:
        """Whether the folder has a collection of that name."""
        return collection_name in self._folder.names()

    @as_in(QdrantClient.get_aliases)
    def get_aliases(self) -> models.CollectionsAliasesResponse:
        """No aliases: the engine has none."""
        self._folder.check_process()
        return models.CollectionsAliasesResponse(aliases=[])

    @as_in(QdrantClient.create_collection)
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

    @as_in(QdrantClient.recreate_collection)
    def recreate_collection(self, collection_name: str, **options: Any) -> bool:
        """Delete the collection, if there is one, and make it. As `create_collection`."""
        self.delete_collection(collection_name)
        return self.create_collection(collection_name, **options)

    def update_collection(
        self, collection_name: str, *args: Any, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> bool:
        """As `QdrantClient.update_collection`, of the metadata: keys that are given replace those that there are.

        Raises:
            ClientError: anything else is to be changed.
        """
        if args or kwargs:
            named = ", ".join(kwargs) or "positional arguments"
            raise ClientError(f"only the metadata of a collection can be changed in qdrant-edge, not {named}")
        shard = self._shard(collection_name)
        with shard.hold("writing the metadata of"):
            write_metadata(shard.folder, read_metadata(shard.folder) | to_jsonable_python(metadata or {}))
        return True

    @as_in(QdrantClient.delete_collection)
    def delete_collection(self, collection_name: str) -> bool:
        """Delete a collection with its points; whether there was one."""
        return self._folder.delete(collection_name)

    @as_in(QdrantClient.create_payload_index)
    def create_payload_index(
        self, collection_name: str, field_name: str, field_schema: Any = None, field_type: Any = None
    ) -> models.UpdateResult:
        """As `QdrantClient.create_payload_index`. An index of another type on the same key is replaced."""
        schema = index_of(field_type if field_schema is None else field_schema)
        made = make_change("create_field_index", everything=True, field_name=field_name, schema=schema)
        self._shard(collection_name).update(made)
        return DONE

    @as_in(QdrantClient.delete_payload_index)
    def delete_payload_index(self, collection_name: str, field_name: str) -> models.UpdateResult:
        """As `QdrantClient.delete_payload_index`."""
        self._shard(collection_name).update(make_change("delete_field_index", field_name=field_name))
        return DONE

    def optimize(self, collection_name: str) -> bool:
        """Build what makes searches fast (HNSW graphs over large parts, fewer segments); whether there was work to do.

        Without it searches compare all vectors, which is exact. Takes seconds to minutes, during which no other Python
        thread runs; worth it from about 50,000 points on. Not in `QdrantClient`: a server does it by itself.
        """
        return self._shard(collection_name).optimize()

"""The client's collections: making, describing and deleting them, and their payload indexes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_jsonable_python
from qdrant_client import QdrantClient, models

from ..errors import ClientError
from .binding import check_extras, check_unknown
from .changes import make_change
from .shards import Folder, Shard
from .translate_config import collection_info, config_of, index_of, read_metadata, write_metadata

__all__ = ["DONE", "Base", "Collections"]

DONE: Final = models.UpdateResult(status=models.UpdateStatus.COMPLETED)
"""What every change returns: it is done."""


class Base(QdrantClient):
    """A `QdrantClient` to type checkers and `isinstance`; none of that class's code is run."""

    _folder: Folder

    def _shard(self, collection_name: str) -> Shard:
        return self._folder.shard(collection_name)


class Collections(Base):
    """A collection is a folder; its metadata is a file of ours in it."""

    def get_collection(self, collection_name: str, **kwargs: Any) -> models.CollectionInfo:
        """A collection's vectors, payload indexes and counts.

        Raises:
            EngineError: there is no such collection, which is a ValueError, too; lists those that there are.
        """
        check_unknown("get_collection", kwargs)
        shard = self._shard(collection_name)
        with shard.hold("reading") as held:
            return collection_info(shard.folder, held.info())

    def get_collections(self, **kwargs: Any) -> models.CollectionsResponse:
        """The collections in the folder."""
        check_unknown("get_collections", kwargs)
        return models.CollectionsResponse(
            collections=[models.CollectionDescription(name=name) for name in self._folder.names()]
        )

    def collection_exists(self, collection_name: str, **kwargs: Any) -> bool:
        """Whether the folder has a collection of that name."""
        check_unknown("collection_exists", kwargs)
        return collection_name in self._folder.names()

    def get_aliases(self, **kwargs: Any) -> models.CollectionsAliasesResponse:
        """No aliases: the engine has none."""
        check_unknown("get_aliases", kwargs)
        self._folder.check_process()
        return models.CollectionsAliasesResponse(aliases=[])

    def create_collection(
        self,
        collection_name: str,
        vectors_config: models.VectorParams | Mapping[str, models.VectorParams] | None = None,
        sparse_vectors_config: Mapping[str, models.SparseVectorParams] | None = None,
        shard_number: int | None = None,
        sharding_method: Any = None,
        replication_factor: int | None = None,
        write_consistency_factor: int | None = None,
        on_disk_payload: bool | None = None,
        hnsw_config: Any = None,
        optimizers_config: Any = None,
        wal_config: Any = None,
        quantization_config: Any = None,
        timeout: int | None = None,
        strict_mode_config: Any = None,
        metadata: dict[str, Any] | None = None,
        payload: Any = None,
        id_tracker: Any = None,
        **kwargs: Any,
    ) -> bool:
        """As `QdrantClient.create_collection`, of one shard.

        Raises:
            ClientError: an option isn't passed on to the engine; names it.
            EngineError: there is one of that name, which is a ValueError, too.
        """
        check_unknown("create_collection", kwargs)
        check_extras(
            shard_number=None if shard_number == 1 else shard_number,
            sharding_method=sharding_method,
            replication_factor=None if replication_factor == 1 else replication_factor,
            write_consistency_factor=None if write_consistency_factor == 1 else write_consistency_factor,
            optimizers_config=optimizers_config,
            wal_config=wal_config,
            quantization_config=quantization_config,
            timeout=timeout,
            strict_mode_config=strict_mode_config,
            payload=payload,
            id_tracker=id_tracker,
        )
        shard = self._folder.create(
            collection_name, config_of(vectors_config, sparse_vectors_config, hnsw_config, on_disk_payload)
        )
        if metadata:
            with shard.hold("writing the metadata of"):
                write_metadata(shard.folder, to_jsonable_python(metadata))
        return True

    def recreate_collection(self, collection_name: str, *args: Any, **kwargs: Any) -> bool:
        """Delete the collection, if there is one, and make it. As `create_collection`."""
        self.delete_collection(collection_name)
        return self.create_collection(collection_name, *args, **kwargs)

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

    def delete_collection(self, collection_name: str, timeout: int | None = None, **kwargs: Any) -> bool:
        """Delete a collection with its points; whether there was one."""
        check_unknown("delete_collection", kwargs)
        check_extras(timeout=timeout)
        return self._folder.delete(collection_name)

    def create_payload_index(
        self,
        collection_name: str,
        field_name: str,
        field_schema: Any = None,
        field_type: Any = None,
        wait: bool = True,
        ordering: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.create_payload_index`. An index of another type on the same key is replaced."""
        check_unknown("create_payload_index", kwargs)
        check_extras(ordering=ordering, timeout=timeout)
        schema = index_of(field_type if field_schema is None else field_schema)
        made = make_change("create_field_index", everything=True, field_name=field_name, schema=schema)
        self._shard(collection_name).update(made)
        return DONE

    def delete_payload_index(
        self,
        collection_name: str,
        field_name: str,
        wait: bool = True,
        ordering: Any = None,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> models.UpdateResult:
        """As `QdrantClient.delete_payload_index`."""
        check_unknown("delete_payload_index", kwargs)
        check_extras(ordering=ordering, timeout=timeout)
        self._shard(collection_name).update(make_change("delete_field_index", field_name=field_name))
        return DONE

    def optimize(self, collection_name: str) -> bool:
        """Build what makes searches fast (HNSW graphs over large parts, fewer segments); whether there was work to do.

        Without it searches compare all vectors, which is exact. Takes seconds to minutes, during which no other Python
        thread runs; worth it from about 50,000 points on. Not in `QdrantClient`: a server does it by itself.
        """
        return self._shard(collection_name).optimize()

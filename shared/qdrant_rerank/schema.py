"""What a collection holds: its vectors, payload indexes and shards. Reading it is the only I/O here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias, assert_never

from qdrant_client import AsyncQdrantClient, QdrantClient, models

from .errors import PlanError, did_you_mean

__all__ = ["Kind", "Schema", "VectorInfo", "aread_schema", "read_schema"]

Kind: TypeAlias = Literal["dense", "sparse", "multi"]
"""A vector's kind: one dense vector, one sparse vector, or several dense ones (late interaction) for each point."""

_DISTANCES_ASCENDING = (models.Distance.EUCLID, models.Distance.MANHATTAN)


@dataclass(frozen=True)
class VectorInfo:
    """One vector of a collection.

    Attributes:
        kind: dense, sparse or multi.
        size: numbers in a vector (in each token vector, for multi); None for sparse.
        distance: how vectors are compared; None for sparse, whose scores are dot products.
        idf: whether Qdrant weighs sparse queries by inverse document frequency.
    """

    kind: Kind
    size: int | None = None
    distance: models.Distance | None = None
    idf: bool = False

    @property
    def is_distance(self) -> bool:
        """Whether scores are distances: lower is better."""
        return self.distance in _DISTANCES_ASCENDING

    def __str__(self) -> str:
        match self.kind:
            case "sparse":
                return "sparse, IDF" if self.idf else "sparse"
            case "multi":
                return f"multivector of {self.size}-d, {self.distance}"
            case "dense":
                return f"dense {self.size}-d, {self.distance}"
        assert_never(self.kind)


@dataclass(frozen=True)
class Schema:
    """A collection as a plan sees it.

    Attributes:
        collection: its name.
        vectors: by name; the unnamed vector is `""`.
        indexes: payload key → type of its index.
        shards: how many shards there are.
        points: roughly how many points there are; None if unknown.
        strict: the strict mode's settings, if the collection has them.
    """

    collection: str
    vectors: Mapping[str, VectorInfo]
    indexes: Mapping[str, models.PayloadSchemaType] = field(default_factory=lambda: MappingProxyType({}))
    shards: int = 1
    points: int | None = None
    strict: models.StrictModeConfigOutput | None = None

    @classmethod
    def of(cls, collection: str, info: models.CollectionInfo) -> Schema:
        """The schema that Qdrant's description of a collection holds."""
        params, config = info.config.params, info.config
        return cls(
            collection=collection,
            vectors=MappingProxyType(dict(_vectors(params))),
            indexes=MappingProxyType({key: index.data_type for key, index in info.payload_schema.items()}),
            shards=params.shard_number or 1,
            points=info.points_count,
            strict=getattr(config, "strict_mode_config", None),
        )

    def names(self, kind: Kind) -> list[str]:
        """The names of the vectors of one kind."""
        return [name for name, info in self.vectors.items() if info.kind == kind]

    def only_dense(self) -> str | None:
        """The name of the collection's only dense vector; None if it has none or several."""
        names = self.names("dense")
        return names[0] if len(names) == 1 else None

    def describe_vectors(self) -> str:
        """The vectors, for messages: `'dense' (dense 384-d, Cosine), 'bm25' (sparse, IDF)`."""
        return ", ".join(f"{name!r} ({info})" for name, info in self.vectors.items()) or "no vectors"


def _vectors(params: models.CollectionParams) -> Iterable[tuple[str, VectorInfo]]:
    dense = params.vectors or {}
    for name, vector in (dense if isinstance(dense, dict) else {"": dense}).items():
        kind: Kind = "multi" if vector.multivector_config is not None else "dense"
        yield name, VectorInfo(kind, vector.size, vector.distance)
    for name, sparse in (params.sparse_vectors or {}).items():
        yield name, VectorInfo("sparse", idf=sparse.modifier == models.Modifier.IDF)


def read_schema(client: QdrantClient, collection: str) -> Schema:
    """Read a collection's schema; one request.

    Raises:
        PlanError: there is no such collection; the message lists those that there are.
    """
    try:
        return Schema.of(collection, client.get_collection(collection))
    except Exception as error:
        if not _says_not_found(error):
            raise
        try:
            there: list[str] | None = [described.name for described in client.get_collections().collections]
        except Exception:  # e.g. with a key that is for one collection
            there = None
        _raise_if_absent(error, collection, there)
        raise


async def aread_schema(client: AsyncQdrantClient, collection: str) -> Schema:
    """Read a collection's schema; one request. As `read_schema`."""
    try:
        return Schema.of(collection, await client.get_collection(collection))
    except Exception as error:
        if not _says_not_found(error):
            raise
        try:
            there: list[str] | None = [described.name for described in (await client.get_collections()).collections]
        except Exception:
            there = None
        _raise_if_absent(error, collection, there)
        raise


def _says_not_found(error: Exception) -> bool:
    """Whether local mode, REST or gRPC says that the collection isn't there (each has an error of its own)."""
    code = getattr(error, "code", None)
    if callable(code):
        return "NOT_FOUND" in str(code())
    return getattr(error, "status_code", None) == 404 or "not found" in str(error).lower()


def _raise_if_absent(error: Exception, collection: str, there: list[str] | None) -> None:
    """Raise a PlanError unless the collection is among those that there are; None if they can't be listed."""
    if there is None:
        raise PlanError([f"there is no collection {collection!r}, as far as this client may know"]) from error
    if collection in there:
        return
    listed = ", ".join(map(repr, sorted(there))) or "no collections"
    hint = did_you_mean(collection, there)
    raise PlanError([f"there is no collection {collection!r}; this Qdrant has {listed}{hint}"]) from error

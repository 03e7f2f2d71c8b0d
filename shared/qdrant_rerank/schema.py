"""What a collection holds: its vectors, payload indexes and shards. Reading it is the only I/O here.

`GET /collections/…` asks all shards, and fails if one of them doesn't answer, although searches of the others work. Then the
schema is read as one node of the cluster knows it: every node holds the configuration of every collection, and tells it in its
telemetry without asking another node: vectors with their distances, shard keys and strict mode; payload indexes where it holds
a shard of the collection. A key that may read one collection is told of that one. Telemetry is REST only; a client that speaks
gRPC asks by REST too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, assert_never

from qdrant_client import AsyncQdrantClient, QdrantClient, models

from .engine_errors import read_failure
from .errors import PlanError, did_you_mean
from .steps import Calls, arun_calls, run_calls

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
    def distance_name(self) -> str | None:
        """The distance's name, e.g. "Cosine", as files have it; None for sparse vectors."""
        return None if self.distance is None else self.distance.value

    @cached_property
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
        shards: how many shards there are; with custom sharding, those of all shard keys.
        points: roughly how many points there are; None if unknown.
        strict: the strict mode's settings, where it is on; None where it is off.
        shard_keys: of a custom-sharded collection, shard key → how many shards it has.
        index_params: payload key → what its index was made with beyond the type, where that is known.
        empty_indexes: the keys whose payload index is whole and holds no point: none has such a value there.
        unknown: what isn't known of the collection, as a part of its cluster didn't answer.
    """

    collection: str
    vectors: Mapping[str, VectorInfo]
    indexes: Mapping[str, models.PayloadSchemaType] = field(default_factory=lambda: MappingProxyType({}))
    shards: int = 1
    points: int | None = None
    strict: models.StrictModeConfigOutput | None = None
    shard_keys: Mapping[models.ShardKey, int] = field(default_factory=lambda: MappingProxyType({}))
    index_params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    empty_indexes: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.strict is not None and not self.strict.enabled:
            object.__setattr__(self, "strict", None)

    @classmethod
    def of(
        cls, collection: str, info: models.CollectionInfo, shard_keys: Mapping[models.ShardKey, int] | None = None
    ) -> Schema:
        """The schema that Qdrant's description of a collection holds.

        Args:
            collection: its name.
            info: the description.
            shard_keys: of a custom-sharded collection, shard key → how many shards it has; None if that isn't known.
        """
        params, config = info.config.params, info.config
        return cls(
            collection=collection,
            vectors=MappingProxyType(dict(sorted(_vectors(params), key=_by_kind))),
            indexes=MappingProxyType({key: index.data_type for key, index in info.payload_schema.items()}),
            shards=_shards(params, shard_keys),
            points=info.points_count,
            strict=getattr(config, "strict_mode_config", None),
            shard_keys=MappingProxyType(dict(shard_keys or {})),
            index_params=MappingProxyType(
                {key: index.params for key, index in info.payload_schema.items() if index.params is not None}
            ),
            empty_indexes=frozenset(
                key
                for key, index in info.payload_schema.items()
                if info.status == models.CollectionStatus.GREEN and not index.points
            ),
        )

    def shards_of(self, selector: models.ShardKeySelector | None) -> int:
        """How many shards a call with this `shard_key_selector` searches; all of them without one."""
        if selector is None:
            return self.shards
        if isinstance(selector, models.ShardKeyWithFallback):
            return max(self._shards_of_key(key) for key in (selector.target, selector.fallback))
        return sum(map(self._shards_of_key, selector if isinstance(selector, list) else [selector]))

    def _shards_of_key(self, key: models.ShardKey) -> int:
        return self.shard_keys.get(key, 1)

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


def _by_kind(vector: tuple[str, VectorInfo]) -> tuple[int, str]:
    """An order for what servers and the engine in process keep without one, so that messages read the same each time."""
    name, info = vector
    return ("dense", "multi", "sparse").index(info.kind), name


def _shards(params: models.CollectionParams, shard_keys: Mapping[models.ShardKey, int] | None) -> int:
    """How many shards a collection has: `shard_number` of them for each key where sharding is custom."""
    each = params.shard_number or 1
    if params.sharding_method != models.ShardingMethod.CUSTOM:
        return each
    return 2 * each if shard_keys is None else max(1, sum(shard_keys.values()))  # of unknown keys there will be several


def _shard_keys(cluster: models.CollectionClusterInfo) -> dict[models.ShardKey, int]:
    """How many shards each shard key has, replicas counted once."""
    keys = {shard.shard_id: shard.shard_key for shard in cluster.local_shards}
    keys |= {shard.shard_id: shard.shard_key for shard in cluster.remote_shards}
    return dict(Counter(key for key in keys.values() if key is not None))


def _is_custom(info: models.CollectionInfo) -> bool:
    return info.config.params.sharding_method == models.ShardingMethod.CUSTOM


def _vectors(params: models.CollectionParams) -> Iterable[tuple[str, VectorInfo]]:
    dense = params.vectors or {}
    for name, vector in (dense if isinstance(dense, dict) else {"": dense}).items():
        kind: Kind = "multi" if vector.multivector_config is not None else "dense"
        yield name, VectorInfo(kind, vector.size, vector.distance)
    for name, sparse in (params.sparse_vectors or {}).items():
        yield name, VectorInfo("sparse", idf=sparse.modifier == models.Modifier.IDF)


def read_schema(client: QdrantClient, collection: str) -> Schema:
    """Read a collection's schema; one request, and one more for the shard keys of a custom-sharded one.

    Raises:
        PlanError: there is no such collection; the message lists those that there are.
    """
    return run_calls(ask_schema(client, collection))


async def aread_schema(client: AsyncQdrantClient, collection: str) -> Schema:
    """As `read_schema`, without blocking the event loop."""
    return await arun_calls(ask_schema(client, collection))


def ask_schema(client: Any, collection: str) -> Calls[Schema]:
    """The calls by which `read_schema` reads with a client, sync or async."""
    try:
        info = yield partial(client.get_collection, collection)
    except Exception as error:
        if read_failure(error).kind != "not found":
            raise
        try:
            there: list[str] | None = [described.name for described in (yield client.get_collections).collections]
        except Exception:  # e.g. with a key that is for one collection
            there = None
        _raise_if_absent(error, collection, there)
        raise
    keys = None
    if _is_custom(info):
        with suppress(Exception):  # a key without the right to ask, or a node that is away
            keys = _shard_keys((yield partial(client.collection_cluster_info, collection)))
    return Schema.of(collection, info, keys)


def _raise_if_absent(error: Exception, collection: str, there: list[str] | None) -> None:
    """Raise a PlanError unless the collection is among those that there are; None if they can't be listed."""
    if there is None:
        raise PlanError([f"there is no collection {collection!r}, as far as this client may know"]) from error
    if collection in there:
        return
    listed = ", ".join(map(repr, sorted(there))) or "no collections"
    hint = did_you_mean(collection, there)
    raise PlanError([f"there is no collection {collection!r}; this Qdrant has {listed}{hint}"]) from error


_TELEMETRY: Final[dict[str, Any]] = {  # 2 has configurations, 3 has shards, 4 has the indexes in their segments
    "type_": dict[str, Any],
    "method": "GET",
    "url": "/telemetry",
    "params": {"details_level": 4},
    "timeout": 5.0,  # the caller has waited once
}


def ask_node_schema(client: Any, collection: str, error: Exception) -> Calls[Schema | None]:
    """Ask what the node that answers knows of a collection whose schema can't be read; the result is None if that is nothing.

    `error` is what reading the schema ended in. Nothing is asked unless it may be that of another node that is away.
    """
    if not _is_away(error):
        return None
    try:
        held = _collections_of((yield partial(client.http.client.request, **_TELEMETRY)))
        name = collection if collection in held else _resolve(collection, (yield client.get_aliases))
        return _schema(collection, held[name])
    except Exception:  # a key without the right, REST that isn't open, an alias of nothing: `error` says what is wrong
        return None


def _is_away(error: Exception) -> bool:
    """Whether a node may be away that another asked: this says so, or it waits. "unreachable" is this one itself."""
    return read_failure(error).kind in ("passing", "timeout")


def _collections_of(answer: Any) -> dict[str, Any]:
    return {each["id"]: each for each in answer["result"]["collections"]["collections"]}


def _resolve(alias: str, there: models.CollectionsAliasesResponse) -> str:
    return {each.alias_name: each.collection_name for each in there.aliases}[alias]


def _schema(collection: str, held: Mapping[str, Any]) -> Schema:
    config, shards = models.CollectionConfig(**held["config"]), held["shards"]
    segments = [segment["info"] for shard in shards if shard["local"] for segment in shard["local"]["segments"]]
    info = models.CollectionInfo(
        status=models.CollectionStatus.GREY,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        segments_count=len(segments),
        config=config,
        payload_schema={
            key: models.PayloadIndexInfo(**index) for segment in segments for key, index in segment["index_schema"].items()
        },
    )
    keys = Counter(shard["key"] for shard in shards if shard.get("key") is not None)
    schema = replace(Schema.of(collection, info, keys or None), unknown=("the number of points",))
    if segments:
        return schema
    strict = schema.strict  # an index that nobody knows of must not be missed
    if strict is not None:
        strict = strict.model_copy(update={"unindexed_filtering_retrieve": None})
    return replace(schema, strict=strict, unknown=("the payload indexes", *schema.unknown))

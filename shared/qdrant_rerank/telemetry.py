"""The schema that one node of a cluster knows of, for as long as another is away.

`GET /collections/…` asks all shards, and fails if one of them doesn't answer, although searches of the others work. Every node
holds the configuration of every collection, and tells it in its telemetry without asking another node: vectors with their
distances, shard keys and strict mode; payload indexes where it holds a shard of the collection. A key that may read one
collection is told of that one. Telemetry is REST only; a client that speaks gRPC asks by REST too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from qdrant_client import AsyncQdrantClient, QdrantClient, models

from .engine_errors import read_failure
from .schema import Schema

__all__ = ["aread_node_schema", "read_node_schema"]

_ASKED: Final[dict[str, Any]] = {  # 2 has configurations, 3 has shards, 4 has the indexes in their segments
    "type_": dict[str, Any],
    "method": "GET",
    "url": "/telemetry",
    "params": {"details_level": 4},
    "timeout": 5.0,  # the caller has waited once
}


def read_node_schema(client: QdrantClient, collection: str, error: Exception) -> Schema | None:
    """What the node that answers knows of a collection whose schema can't be read; None if that is nothing.

    Args:
        client: of a server.
        collection: its name, or an alias.
        error: what reading the schema ended in; None comes of one that isn't a node's that is away.
    """
    if not _is_away(error):
        return None
    try:
        told = _told(client.http.client.request(**_ASKED))
        name = collection if collection in told else _named(collection, client.get_aliases())
        return _schema(collection, told[name])
    except Exception:  # a key without the right, REST that isn't open, an alias of nothing: `error` says what is wrong
        return None


async def aread_node_schema(client: AsyncQdrantClient, collection: str, error: Exception) -> Schema | None:
    """As `read_node_schema`."""
    if not _is_away(error):
        return None
    try:
        told = _told(await client.http.client.request(**_ASKED))
        name = collection if collection in told else _named(collection, await client.get_aliases())
        return _schema(collection, told[name])
    except Exception:
        return None


def _is_away(error: Exception) -> bool:
    """Whether a node may be away that another asked, be it that this says so or that it waits; "unreachable" is this itself."""
    return read_failure(error).kind in ("passing", "timeout")


def _told(answer: Any) -> dict[str, Any]:
    return {each["id"]: each for each in answer["result"]["collections"]["collections"]}


def _named(alias: str, there: models.CollectionsAliasesResponse) -> str:
    return {each.alias_name: each.collection_name for each in there.aliases}[alias]


def _schema(collection: str, told: Mapping[str, Any]) -> Schema:
    config, shards = models.CollectionConfig(**told["config"]), told["shards"]
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

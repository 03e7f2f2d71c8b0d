"""Collections and payload indexes, from `qdrant_client.models` to the engine's own and, read from the disk, back.

The engine has no place for a collection's metadata: they are in a file of ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import qdrant_edge as engine
from pydantic import BaseModel
from qdrant_client import models

from ..errors import ClientError, FormatError

NO_VECTORS: Final = "qdrant-rerank: no vectors"
"""A sparse vector of this name, which no point has, stands for none: the engine makes no collection without one."""

_HNSW: Final = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000}
"""Qdrant's own defaults; the engine wants all three."""


def config_of(
    vectors: models.VectorParams | Mapping[str, models.VectorParams] | None,
    sparse: Mapping[str, models.SparseVectorParams] | None,
    hnsw: models.HnswConfigDiff | None = None,
    on_disk_payload: bool | None = None,
) -> engine.EdgeConfig:
    """The engine's configuration of a new collection.

    Raises ClientError: it has an option that isn't passed on to the engine.
    """
    dense = vectors if isinstance(vectors, Mapping) else {} if vectors is None else {"": vectors}
    if not dense and not sparse:
        sparse = {NO_VECTORS: models.SparseVectorParams()}
    return engine.EdgeConfig(
        vectors={name: _dense(params) for name, params in dense.items()},
        sparse_vectors={name: _sparse(params) for name, params in (sparse or {}).items()},
        hnsw_config=_hnsw(hnsw),
        on_disk_payload=on_disk_payload,
    )


def index_of(schema: Any) -> Any:
    """The engine's payload index for a type, its name, or a type's parameters. Raises ClientError: there is no such type."""
    if isinstance(schema, BaseModel):
        return _index_params(schema)
    try:
        kind = models.PayloadSchemaType(schema)
    except ValueError:
        known = ", ".join(repr(one.value) for one in models.PayloadSchemaType)
        raise ClientError(f"field_schema takes one of {known}, or their parameters, got {schema!r}") from None
    return _member(engine.PayloadSchemaType, kind)


def vector_parts(config: Any) -> dict[str, Any]:
    """What the engine makes a new vector of: a sparse one of `models.SparseVectorNameConfig`, or a dense one.

    Raises ClientError: it is neither.
    """
    if (sparse := getattr(config, "sparse", None)) is not None:
        idf = sparse.modifier == models.Modifier.IDF
        datatype = _member(engine.VectorStorageDatatype, sparse.datatype)
        return {"kind": "create_sparse_vector", "modifier": engine.Modifier.Idf if idf else None, "datatype": datatype}
    if (dense := getattr(config, "dense", None)) is None:
        raise ClientError(
            f"a new vector is a models.SparseVectorNameConfig or a models.DenseVectorNameConfig, got {config!r:.200}"
        )
    params = _dense(models.VectorParams(**dense.model_dump()))
    parts = {name: getattr(params, name) for name in ("size", "distance", "multivector_config", "datatype")}
    return {"kind": "create_dense_vector", **parts}


def _dense(params: models.VectorParams) -> engine.EdgeVectorParams:
    if params.quantization_config is not None:
        raise ClientError(f"quantization_config isn't passed on to qdrant-edge: leave it out, got {params!r}")
    multi = params.multivector_config is not None
    return engine.EdgeVectorParams(
        size=params.size,
        distance=getattr(engine.Distance, models.Distance(params.distance).value),
        on_disk=params.on_disk,
        multivector_config=engine.MultiVectorConfig(engine.MultiVectorComparator.MaxSim) if multi else None,
        datatype=_member(engine.VectorStorageDatatype, params.datatype),
        hnsw_config=_hnsw(params.hnsw_config),
        memory=_member(engine.Memory, getattr(params, "memory", None)),
    )


def _sparse(params: models.SparseVectorParams) -> engine.EdgeSparseVectorParams:
    index = params.index or models.SparseIndexParams()
    idf = params.modifier == models.Modifier.IDF
    return engine.EdgeSparseVectorParams(
        full_scan_threshold=index.full_scan_threshold,
        on_disk=index.on_disk,
        modifier=engine.Modifier.Idf if idf else None,
        datatype=_member(engine.VectorStorageDatatype, index.datatype),
        memory=_member(engine.Memory, getattr(index, "memory", None)),
    )


def _hnsw(diff: models.HnswConfigDiff | None) -> engine.HnswIndexConfig | None:
    if diff is None:
        return None
    return engine.HnswIndexConfig(
        **{name: default if getattr(diff, name) is None else getattr(diff, name) for name, default in _HNSW.items()},
        max_indexing_threads=diff.max_indexing_threads or 0,
        on_disk=diff.on_disk,
        payload_m=diff.payload_m,
        inline_storage=getattr(diff, "inline_storage", None),
        memory=_member(engine.Memory, getattr(diff, "memory", None)),
    )


def _index_params(params: BaseModel) -> Any:
    name = type(params).__name__
    if name not in _INDEXES:
        raise ClientError(f"field_schema takes a payload index's type or parameters, got {params!r}")
    given = {key: value for key, value in params if key != "type" and value is not None}
    return getattr(engine, name)(**{key: _index_option(key, value) for key, value in given.items()})


def _index_option(key: str, value: Any) -> Any:
    match value:
        case models.TokenizerType():
            return _member(engine.TokenizerType, value)
        case models.Language():
            return _member(engine.Language, value)
        case models.StopwordsSet():
            languages = {_member(engine.Language, language) for language in value.languages or ()}
            return engine.StopwordsSet(languages, set(value.custom or ()))
        case models.SnowballParams():
            return engine.SnowballParams(_member(engine.SnowballLanguage, value.language))
        case bool() | int() | str() if not hasattr(value, "value"):
            return value
        case _ if key == "memory":
            return _member(engine.Memory, value)
        case _:
            raise ClientError(f"{key}={value!r} of a payload index isn't passed on to qdrant-edge: leave it out")


def _member(kind: Any, value: Any) -> Any:
    """The member of an engine's enumeration for a wire value: `float16` → `Float16`."""
    if value is None:
        return None
    name = str(getattr(value, "value", value)).capitalize()
    if not hasattr(kind, name):
        raise ClientError(f"qdrant-edge has no {kind.__name__} {name}")
    return getattr(kind, name)


_INDEXES: Final = frozenset(
    f"{kind}IndexParams" for kind in ("Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid")
)


_CONFIG: Final = "edge_config.json"  # the engine's own, written when a shard is made or loaded
_METADATA: Final = "collection_metadata.json"  # ours
_OPTIMIZERS: Final[dict[str, Any]] = {  # Qdrant's defaults: a description must have some
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "flush_interval_sec": 5,
}


@dataclass(frozen=True)
class Vector:
    """One vector of a collection: its kind, its size (of a row, for several), and how it is compared."""

    kind: Literal["dense", "sparse", "multi"]
    size: int | None = None
    distance: models.Distance | None = None

    def __str__(self) -> str:
        if self.kind == "sparse":
            return "sparse"
        return f"{'multivector of' if self.kind == 'multi' else 'dense'} {self.size}-d, {self.distance}"


def vectors_of(params: models.CollectionParams) -> dict[str, Vector]:
    """The vectors of a collection by name; the unnamed one is `""`."""
    dense = params.vectors or {}
    found: dict[str, Vector] = {}
    for name, one in (dense if isinstance(dense, dict) else {"": dense}).items():
        found[name] = Vector("dense" if one.multivector_config is None else "multi", one.size, one.distance)
    return found | {name: Vector("sparse") for name in params.sparse_vectors or {}}


def read_params(folder: Path) -> models.CollectionParams:
    """The vectors of the collection in `folder`."""
    config = _read_object(folder / _CONFIG)
    dense = {name: _read_known(models.VectorParams, raw) for name, raw in sorted((config.get("vectors") or {}).items())}
    sparse = {name: _sparse_of(raw) for name, raw in sorted((config.get("sparse_vectors") or {}).items())}
    sparse.pop(NO_VECTORS, None)
    return models.CollectionParams(
        vectors=dense[""] if list(dense) == [""] else dense,
        sparse_vectors=sparse or None,
        on_disk_payload=config.get("on_disk_payload"),
        shard_number=1,
    )


def collection_info(folder: Path, info: engine.ShardInfo) -> models.CollectionInfo:
    """The collection in `folder`, with the counts and payload indexes that the engine tells."""
    given = _read_object(folder / _CONFIG).get("hnsw_config") or {}
    hnsw = _HNSW | {key: value for key, value in given.items() if value is not None}
    indexes: dict[str, models.PayloadIndexInfo] = {}
    for key, found in info.payload_schema.items():
        kind = models.PayloadSchemaType(_name(found.data_type))
        params = _params(found.params, kind)
        indexes[key] = models.PayloadIndexInfo(data_type=kind, params=params, points=found.points)
    config = models.CollectionConfig(
        params=read_params(folder),
        hnsw_config=_read_known(models.HnswConfig, hnsw),
        optimizer_config=models.OptimizersConfig(**_OPTIMIZERS),
        metadata=read_metadata(folder) or None,
    )
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        indexed_vectors_count=info.indexed_vectors_count,
        points_count=info.points_count,
        segments_count=info.segments_count,
        config=config,
        payload_schema=indexes,
    )


def read_metadata(folder: Path) -> dict[str, Any]:
    """What `write_metadata` wrote; empty if nothing was."""
    path = folder / _METADATA
    return _read_object(path) if path.exists() else {}


def write_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Keep `metadata` beside the collection, in one step: a crash leaves the old or the new."""
    staged = folder / f"{_METADATA}.new"
    staged.write_text(json.dumps(metadata, ensure_ascii=False), "utf-8")
    os.replace(staged, folder / _METADATA)


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""

    def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError("a key is in one object twice")
        return found

    try:
        value = json.loads(path.read_text("utf-8"), object_pairs_hook=without_doubles)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise FormatError(f"a file of the collection is damaged: {error}", path, line) from None
    if not isinstance(value, dict):
        raise FormatError("a file of the collection is damaged: it holds no JSON object", path)
    return value


def _read_known(kind: Any, raw: Mapping[str, Any]) -> Any:
    """A model of the keys that qdrant-client knows: the engine may be newer."""
    known = {key: value for key, value in raw.items() if key in kind.model_fields}
    if isinstance(known.get("hnsw_config"), Mapping):
        known["hnsw_config"] = _read_known(models.HnswConfigDiff, known["hnsw_config"])
    return kind(**known)


def _sparse_of(raw: Mapping[str, Any]) -> models.SparseVectorParams:
    index = _read_known(models.SparseIndexParams, raw)
    modifier = None if raw.get("modifier") in (None, "none") else models.Modifier(raw["modifier"])
    return models.SparseVectorParams(index=index if index.model_fields_set else None, modifier=modifier)


def _params(found: Any, kind: models.PayloadSchemaType) -> Any:
    """The parameters of an index that change what it finds; None where only its type does."""
    if found is None:
        return None
    if kind == models.PayloadSchemaType.INTEGER:
        return models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=found.lookup, range=found.range)
    if kind != models.PayloadSchemaType.TEXT:
        return None
    plain = ("min_token_len", "max_token_len", "lowercase", "ascii_folding", "phrase_matching")
    return models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType(_name(found.tokenizer)),
        stopwords=_stopwords(found.stopwords),
        stemmer=_stemmer(found.stemmer),
        **{name: getattr(found, name) for name in plain},
    )


def _stopwords(found: Any) -> Any:
    if found is None or not hasattr(found, "custom"):
        return None if found is None else models.Language(_name(found))
    languages = [models.Language(_name(language)) for language in found.languages or ()]
    return models.StopwordsSet(languages=languages, custom=sorted(found.custom or ()))


def _stemmer(found: Any) -> Any:
    if not hasattr(found, "language"):
        return None
    language = models.SnowballLanguage(_name(found.language))
    return models.SnowballParams(type=models.Snowball.SNOWBALL, language=language)


def _name(member: Any) -> str:
    """The wire's name of a member of an engine's enumeration."""
    return str(member).rpartition(".")[2].lower()

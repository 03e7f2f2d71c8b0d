"""What a collection and its payload indexes are made of, from `qdrant_client.models` to the engine's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import qdrant_edge as engine
from pydantic import BaseModel
from qdrant_client import models

from ..errors import ClientError

__all__ = ["NO_VECTORS", "config_of", "index_of"]

NO_VECTORS: Final = "qdrant-rerank: no vectors"
"""A sparse vector of this name, which no point has, stands for none: the engine makes no collection without one."""

_M, _EF_CONSTRUCT, _FULL_SCAN_THRESHOLD = 16, 100, 10_000  # Qdrant's own defaults; the engine wants all three


def config_of(
    vectors: models.VectorParams | Mapping[str, models.VectorParams] | None,
    sparse: Mapping[str, models.SparseVectorParams] | None,
    hnsw: models.HnswConfigDiff | None = None,
    on_disk_payload: bool | None = None,
) -> engine.EdgeConfig:
    """The engine's configuration of a new collection.

    Raises:
        ClientError: it has an option that isn't passed on to the engine.
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
    """The engine's payload index for a type, its name, or a type's parameters.

    Raises:
        ClientError: there is no such type.
    """
    if isinstance(schema, BaseModel):
        return _index_params(schema)
    try:
        kind = models.PayloadSchemaType(schema)
    except ValueError:
        known = ", ".join(repr(one.value) for one in models.PayloadSchemaType)
        raise ClientError(f"field_schema takes one of {known}, or their parameters, got {schema!r}") from None
    return _member(engine.PayloadSchemaType, kind)


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
        m=_M if diff.m is None else diff.m,
        ef_construct=_EF_CONSTRUCT if diff.ef_construct is None else diff.ef_construct,
        full_scan_threshold=_FULL_SCAN_THRESHOLD if diff.full_scan_threshold is None else diff.full_scan_threshold,
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
    """The member of an engine's enumeration that is called as a wire value is: `float16` → `Float16`."""
    if value is None:
        return None
    name = str(getattr(value, "value", value)).capitalize()
    if not hasattr(kind, name):
        raise ClientError(f"qdrant-edge has no {kind.__name__} {name}")
    return getattr(kind, name)


_INDEXES: Final = frozenset(
    f"{kind}IndexParams" for kind in ("Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid")
)

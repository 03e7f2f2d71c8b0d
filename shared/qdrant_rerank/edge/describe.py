"""What a collection on disk is, as qdrant-client describes one; and its metadata, which the engine has no place for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import qdrant_edge as engine
from qdrant_client import models

from ..errors import FormatError
from .translate_config import NO_VECTORS

__all__ = ["Vector", "collection_info", "read_metadata", "read_params", "vectors_of", "write_metadata"]

_CONFIG: Final = "edge_config.json"  # the engine's own, written when a shard is made or loaded
_METADATA: Final = "collection_metadata.json"  # ours
_HNSW: Final = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000}
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
    config = _config(folder)
    dense = {name: _known(models.VectorParams, raw) for name, raw in sorted((config.get("vectors") or {}).items())}
    sparse = {name: _sparse(raw) for name, raw in sorted((config.get("sparse_vectors") or {}).items())}
    sparse.pop(NO_VECTORS, None)
    return models.CollectionParams(
        vectors=dense[""] if list(dense) == [""] else dense,
        sparse_vectors=sparse or None,
        on_disk_payload=config.get("on_disk_payload"),
        shard_number=1,
    )


def collection_info(folder: Path, info: engine.ShardInfo) -> models.CollectionInfo:
    """The collection in `folder`, with the counts and payload indexes that the engine tells."""
    hnsw = _HNSW | {key: value for key, value in (_config(folder).get("hnsw_config") or {}).items() if value is not None}
    config = models.CollectionConfig(
        params=read_params(folder),
        hnsw_config=_known(models.HnswConfig, hnsw),
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
        payload_schema={key: _index(found) for key, found in info.payload_schema.items()},
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


def _config(folder: Path) -> dict[str, Any]:
    return _read_object(folder / _CONFIG)


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FormatError: it holds none, or an object of it has a key twice.
    """
    try:
        value = json.loads(path.read_text("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise FormatError(f"a file of the collection is damaged: {error}", path, line) from None
    if not isinstance(value, dict):
        raise FormatError("a file of the collection is damaged: it holds no JSON object", path)
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is in one object twice")
    return found


def _known(kind: Any, raw: Mapping[str, Any]) -> Any:
    """A model of the keys that this version of qdrant-client knows: the engine may be newer."""
    known = {key: value for key, value in raw.items() if key in kind.model_fields}
    if isinstance(known.get("hnsw_config"), Mapping):
        known["hnsw_config"] = _known(models.HnswConfigDiff, known["hnsw_config"])
    return kind(**known)


def _sparse(raw: Mapping[str, Any]) -> models.SparseVectorParams:
    index = _known(models.SparseIndexParams, raw)
    modifier = None if raw.get("modifier") in (None, "none") else models.Modifier(raw["modifier"])
    return models.SparseVectorParams(index=index if index.model_fields_set else None, modifier=modifier)


def _index(found: engine.PayloadIndexInfo) -> models.PayloadIndexInfo:
    kind = models.PayloadSchemaType(_name(found.data_type))
    return models.PayloadIndexInfo(data_type=kind, params=_params(found.params, kind), points=found.points)


def _params(found: Any, kind: models.PayloadSchemaType) -> Any:
    """What an index was made with, of that which changes what it finds; None where that is only its type."""
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

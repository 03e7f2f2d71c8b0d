"""What a collection remembers of the models that filled it, and what is to fill it.

`index` notes the models in the collection's own metadata, which servers keep since 1.16 and local mode does too, so that
`search` need not be told again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from qdrant_client import QdrantClient

from .._internals import VectorKind as Kind
from ..planning import Schema, read_schema
from .connect import CommandRetries
from .encoders import FLAGS, check_embedder, normalised
from .failures import CommandError

__all__ = ["VectorModel", "read_notes", "vector_models", "write_notes"]

_KEY: Final = "qdrant_rerank"  # ours in the collection's metadata


@dataclass(frozen=True)
class VectorModel:
    """What fills one vector: the vector's kind, and the model's normalised name."""

    kind: Kind
    model: str


def read_notes(client: QdrantClient, collection: str, policy: CommandRetries) -> dict[str, str]:
    """Vector name → model, as `write_notes` left them; empty for collections that others made."""
    info = policy.rest.run(lambda: client.get_collection(collection))
    metadata: Any = getattr(info.config, "metadata", None) or {}
    notes = metadata.get(_KEY)
    encoders = notes.get("encoders") if isinstance(notes, dict) else None
    return {str(name): str(model) for name, model in encoders.items()} if isinstance(encoders, dict) else {}


def write_notes(client: QdrantClient, collection: str, models: Mapping[str, VectorModel], policy: CommandRetries) -> bool:
    """Note which model fills which vector; whether the collection remembers (servers before 1.16 don't)."""
    notes = read_notes(client, collection, policy) | {name: filled.model for name, filled in models.items()}
    policy.rest.run(lambda: client.update_collection(collection, metadata={_KEY: {"encoders": notes}}))
    return read_notes(client, collection, policy) == notes


def vector_models(
    client: QdrantClient, collection: str, options: Mapping[Kind, str | None], policy: CommandRetries
) -> dict[str, VectorModel]:
    """What is to fill which vector of a collection: as the options say, else as the collection remembers.

    Raises:
        CommandError: an option contradicts what the collection was filled with, or nothing says anything.
    """
    asked: dict[Kind, str | None] = {kind: normalised(kind, text) for kind, text in options.items()}
    check_embedder(client, options)
    if not policy.first.run(lambda: client.collection_exists(collection)):
        if options["sparse"] is None:
            asked["sparse"] = "bm25"
        return _for_new(asked)
    schema = policy.rest.run(lambda: read_schema(client, collection))
    notes = read_notes(client, collection, policy)
    found: dict[str, VectorModel] = {}
    for kind, model in asked.items():
        if options[kind] is None:
            found |= {name: VectorModel(kind, notes[name]) for name in schema.names(kind) if name in notes}
        elif model is not None:
            found[_name_there(schema, kind, model)] = VectorModel(kind, model)
    for name, wanted in found.items():
        if notes.get(name, wanted.model) != wanted.model:
            raise CommandError(
                f"the vector {name!r} of {collection!r} is for {notes[name]}; {FLAGS[wanted.kind]} {wanted.model} "
                "would mix two models, whose vectors can't be compared: leave the option out, or fill another collection"
            )
    if not found:
        raise CommandError(
            f"the collection {collection!r} doesn't say what filled its vectors ({schema.describe_vectors()}): give --dense, "
            "--sparse or --late the models"
        )
    return found


def _for_new(asked: Mapping[Kind, str | None]) -> dict[str, VectorModel]:
    found = {_default_name(kind, model): VectorModel(kind, model) for kind, model in asked.items() if model is not None}
    if not found:
        raise CommandError("nothing to embed the documents with: give --dense, --sparse or --late a model")
    return found


def _default_name(kind: Kind, model: str) -> str:
    return {"dense": "dense", "sparse": "bm25" if model == "bm25" else "sparse", "multi": "late"}[kind]


def _name_there(schema: Schema, kind: Kind, model: str) -> str:
    """The vector that a model fills in a collection that is there."""
    names = schema.names(kind)
    default = _default_name(kind, model)
    return names[0] if default not in names and len(names) == 1 else default

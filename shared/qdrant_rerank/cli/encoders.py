"""The models that options name: written as text, loaded when needed.

A model is written `hash`, `bm25`, `ORGANISATION/NAME` (fastembed's name), `NAME@DIR` (its files in a folder),
`server:NAME` or `server:NAME:SIZE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from qdrant_client import QdrantClient

from .. import QdrantRerankError, ServerInference
from .._internals import VectorKind as Kind
from .._internals import did_you_mean, engine_of
from ..models import Encoder
from ..planning import Schema
from .failures import CommandError

__all__ = ["FLAGS", "check_embedder", "loaded", "normalised", "query_encoders"]

FLAGS: Final[Mapping[Kind, str]] = {"dense": "--dense", "sparse": "--sparse", "multi": "--late"}
_OWN: Final[Mapping[Kind, tuple[str, ...]]] = {"dense": ("hash",), "sparse": ("bm25",), "multi": ()}
_EXAMPLES: Final[Mapping[Kind, str]] = {
    "dense": "sentence-transformers/all-MiniLM-L6-v2",
    "sparse": "Qdrant/bm42-all-minilm-l6-v2-attentions",
    "multi": "answerdotai/answerai-colbert-small-v1",
}


def normalised(kind: Kind, text: str | None) -> str | None:
    """The model that an option names, in the one form that is remembered; None for `none`.

    Raises:
        CommandError: it is no model's name, or its folder isn't there.
    """
    if text is None or text == "none":
        return None
    if text in _OWN[kind] or text.startswith("server:"):
        return text
    name, at, folder = text.removeprefix("fastembed:").partition("@")
    if at and not Path(folder).is_dir():
        raise CommandError(f"{FLAGS[kind]} {text}: there is no folder {folder!r}")
    if at:
        return f"{name}@{Path(folder).resolve()}"
    if "/" not in name:
        known = [*_OWN[kind], "none"]
        raise CommandError(
            f"{FLAGS[kind]} {text}: no such model{did_you_mean(text, known)} (there are {', '.join(known)}, "
            f"fastembed's models, e.g. {_EXAMPLES[kind]}, NAME@DIR for one in a folder, and server:NAME)"
        )
    return name


def _build(kind: Kind, model: str) -> Encoder:
    if model.startswith("server:"):
        return _by_server(kind, model.removeprefix("server:"))
    if model == "hash":
        from ..models import HashedNgrams

        return HashedNgrams()
    if model == "bm25":
        from ..models import Bm25

        return Bm25()
    return _fastembed(kind, *model.split("@", 1))


def loaded(kind: Kind, model: str) -> Encoder:
    """The encoder that a normalised name stands for, tried on a short text.

    What can't be loaded fails now, before anything is made; what can takes no time of the first query.

    Raises:
        CommandError: the model can't be loaded, e.g. downloaded.
        MissingExtra: it needs an optional dependency.
    """
    encoder = _build(kind, model)
    try:
        encoder.encode_query("a short text")
    except QdrantRerankError:
        raise
    except Exception as error:  # whatever fastembed, onnxruntime and the hub's client raise
        remedy = "" if "@" in model else f"; without a network, give its files: {FLAGS[kind]} {model}@DIR"
        raise CommandError(f"the model {model} can't be loaded: {error}{remedy}") from error
    return encoder


def _by_server(kind: Kind, model: str) -> ServerInference:
    name, colon, size = model.rpartition(":")
    if colon and size.isdecimal():
        return ServerInference(name, kind=kind, size=int(size))
    return ServerInference(model, kind=kind, idf="bm25" in model.lower() if kind == "sparse" else None)


def _fastembed(kind: Kind, name: str, folder: str | None = None) -> Encoder:
    from ..models import fastembed

    classes = {"dense": fastembed.FastembedDense, "sparse": fastembed.FastembedSparse, "multi": fastembed.FastembedLate}
    if folder is not None and not Path(folder).is_dir():
        raise CommandError(f"the model {name} was in {folder}, which isn't there now: give {FLAGS[kind]} {name}@DIR")
    encoder: Encoder = classes[kind](name, path=folder)
    return encoder


def check_embedder(client: QdrantClient, options: Mapping[Kind, str | None]) -> None:
    """Refuse `server:` models where there is no server.

    Raises:
        CommandError: an option names one, and the Qdrant is a folder or in memory.
    """
    for kind, text in options.items():
        if text is not None and text.startswith("server:") and engine_of(client) != "server":
            raise CommandError(f"{FLAGS[kind]} {text}: there is no server that could embed; that needs --url")


def query_encoders(
    needs: Iterable[str], schema: Schema, notes: Mapping[str, str], options: Mapping[Kind, str | None]
) -> dict[str, Encoder]:
    """The encoder for each vector that a query needs: as an option says, else as the collection remembers.

    Raises:
        CommandError: neither says anything.
    """
    encoders = {}
    for name in sorted(needs):
        info = schema.vectors[name]
        model = normalised(info.kind, options.get(info.kind)) or notes.get(name)
        if model is None:
            raise CommandError(
                f"the collection {schema.collection!r} doesn't say what made its vector {name!r} ({info}): give "
                f"{FLAGS[info.kind]} MODEL, e.g. {FLAGS[info.kind]} {(*_OWN[info.kind], _EXAMPLES[info.kind])[0]}"
            )
        encoders[name] = loaded(info.kind, model)
    return encoders

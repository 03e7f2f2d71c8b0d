"""From documents to vectors: what an encoder makes, and embedding a batch, with every vector checked before it is sent."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from qdrant_client import models

from ..errors import IngestError, MissingExtra, StrategyError, did_you_mean
from ..models.encoders import Encoder
from ..schema import Kind, VectorInfo
from ..steps import QueryVector
from .documents import Document

__all__ = ["batch_of", "check_multivectors", "encoded", "made_by", "says"]

_PROBE: Final = "a short text"
_BY_SERVER = (models.Document, models.Image, models.InferenceObject)


def made_by(
    name: str, encoder: Encoder, multivectors: Collection[str] = (), distance: models.Distance | None = None
) -> VectorInfo | None:
    """What the encoder makes for the vector `name`; None if it can't be told, as the server embeds.

    A short text is embedded if the encoder's `kind` and `size` don't say.

    Raises:
        StrategyError: the encoder makes no vectors.
    """
    kind: Kind | None = "multi" if name in multivectors else getattr(encoder, "kind", None)
    if kind == "sparse":
        return VectorInfo("sparse", idf=bool(getattr(encoder, "idf", False)))
    size = getattr(encoder, "size", None)
    if kind is not None and size is not None:
        return VectorInfo(kind, size, distance)
    [vector] = encoder.encode_documents([_PROBE])
    if isinstance(vector, _BY_SERVER):
        return None
    made = _described(_plain(vector), distance)
    if made is None:
        raise StrategyError(
            f"the encoder for {name!r} made {vector!r} of {_PROBE!r}: that is neither a list of numbers, nor a list of such "
            "lists, nor a models.SparseVector"
        )
    if kind is not None and made.kind != kind:
        raise StrategyError(f"the vector {name!r} is to be {kind}, but its encoder makes {says(made)}: {encoder!r}")
    return made if made.kind != "sparse" else VectorInfo("sparse", idf=bool(getattr(encoder, "idf", False)))


def check_multivectors(multivectors: Collection[str], encoders: Mapping[str, Encoder]) -> None:
    """Refuse names in `multivectors` that no encoder has, or whose encoder says that it makes something else."""
    for name in multivectors:
        if name not in encoders:
            there = ", ".join(map(repr, encoders)) or "none"
            hint = did_you_mean(name, encoders)
            raise StrategyError(f"multivectors names {name!r}, which has no encoder; there are {there}{hint}")
        kind = getattr(encoders[name], "kind", None)
        if kind not in (None, "multi"):
            raise StrategyError(f"multivectors names {name!r}, but its encoder makes {kind} vectors: {encoders[name]!r}")


def encoded(documents: Sequence[Document], encoders: Mapping[str, Encoder], made: Mapping[str, VectorInfo]) -> list[Any]:
    """The vectors of each document by name: those that it brings along, the others embedded.

    Args:
        made: the collection's vectors, which these must fit.

    Raises:
        IngestError: an encoder failed, or a vector doesn't fit; names the documents.
    """
    ids = [document.id for document in documents]
    vectors: list[dict[str, QueryVector]] = [dict(document.vectors) for document in documents]
    for name, encoder in encoders.items():
        lacking = [number for number, document in enumerate(documents) if name not in document.vectors]
        if not lacking:
            continue
        found = _embedded(name, encoder, [documents[number].text for number in lacking], ids)
        for number, vector in zip(lacking, found, strict=True):
            vectors[number][name] = vector
    return [
        {name: _fitting(document, name, vector, made) for name, vector in own.items()}
        for document, own in zip(documents, vectors, strict=True)
    ]


def _embedded(name: str, encoder: Encoder, texts: list[str], ids: list[str | int]) -> list[QueryVector]:
    try:
        found = list(encoder.encode_documents(texts))
    except (MissingExtra, StrategyError):
        raise  # not the documents' fault
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise IngestError(f"the encoder for {name!r} failed on {batch_of(ids)}: {reason}", ids) from error
    if len(found) != len(texts):
        raise IngestError(f"the encoder for {name!r} made {len(found)} vectors of {len(texts)} texts, on {batch_of(ids)}", ids)
    return found


def _fitting(document: Document, name: str, vector: Any, made: Mapping[str, VectorInfo]) -> Any:
    if name not in made:
        there = ", ".join(map(repr, made)) or "none"
        raise IngestError(
            f"document {document.id!r} brings a vector {name!r}, which the collection doesn't have; it has {there}"
            f"{did_you_mean(name, made)}",
            [document.id],
        )
    if isinstance(vector, _BY_SERVER):
        return vector
    plain = _plain(vector)
    if problem := _misfit(plain, made[name]):
        raise IngestError(f"the vector {name!r} of document {document.id!r} {problem}", [document.id])
    return plain


def _misfit(vector: Any, wanted: VectorInfo) -> str | None:
    """Why a vector can't be stored as what is wanted."""
    found = _described(vector)
    if found is None:
        return f"is no vector, but {vector!r}"[:200]
    if (found.kind, found.size) != (wanted.kind, wanted.size):
        return f"is {says(found)}, but the collection's is {wanted}"
    return None if _is_finite(vector) else "holds numbers that aren't finite"


def says(info: VectorInfo) -> str:
    """What a vector is, apart from how it is compared."""
    return info.kind if info.size is None else f"{info.kind}, {info.size} numbers" + (" a row" if info.kind == "multi" else "")


def _described(vector: Any, distance: models.Distance | None = None) -> VectorInfo | None:
    """What a vector is; None if it is none."""
    if isinstance(vector, models.SparseVector):
        return VectorInfo("sparse")
    if not isinstance(vector, list) or not vector:
        return None
    first = vector[0]
    if isinstance(first, list):
        sizes = {len(row) for row in vector}
        return VectorInfo("multi", sizes.pop(), distance) if len(sizes) == 1 else None
    return VectorInfo("dense", len(vector), distance)


def _plain(vector: Any) -> Any:
    """A vector in Python's own lists and numbers."""
    if hasattr(vector, "tolist"):
        return vector.tolist()
    indices, values = getattr(vector, "indices", None), getattr(vector, "values", None)
    if indices is not None and values is not None and not callable(values):
        return models.SparseVector(indices=[int(index) for index in indices], values=[float(value) for value in values])
    if isinstance(vector, Sequence) and not isinstance(vector, str):
        return [
            item.tolist() if hasattr(item, "tolist") else list(item) if isinstance(item, Sequence) else item for item in vector
        ]
    return vector


def _is_finite(vector: Any) -> bool:
    if isinstance(vector, models.SparseVector):
        return math.isfinite(sum(vector.values))
    return all(math.isfinite(sum(row)) for row in vector) if isinstance(vector[0], list) else math.isfinite(sum(vector))


def batch_of(ids: Sequence[str | int]) -> str:
    """The ids of a batch, for messages."""
    listed = ", ".join(map(repr, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"a batch of {len(ids)} documents: {listed}"

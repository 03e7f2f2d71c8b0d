"""The types of the retriever's fields, with the checks that each makes; and how fields are shown.

No check touches the network, a model or a collection. Messages name the type of what may hold a secret, not its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from typing import Annotated, Any, TypeAlias, cast

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, PlainSerializer, PlainValidator
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from qdrant_rerank import Encoders, Expression, PayloadMapping, Retries, Strategy, parse_expression
from qdrant_rerank._internals import as_mapping, check_schema_ttl, did_you_mean, engine_of, not_a_filter, timeout_problem
from qdrant_rerank.expressions import as_expression
from qdrant_rerank.models._internals import as_reranker

from .calls import check_k
from .documents import RESERVED
from .embeddings import AnyEncoder, EncodersLike, encoder_of, is_embeddings, listed

__all__ = [
    "AsyncClientField",
    "BlendField",
    "ClientField",
    "EmbeddingsField",
    "EncodersField",
    "ExplanationKeyField",
    "FilterField",
    "KField",
    "ModelField",
    "PayloadField",
    "RetriesField",
    "SchemaTtlField",
    "ScoreKeyField",
    "SparseEmbeddingsField",
    "StrategyField",
    "TimeoutField",
    "refuse_unknown",
    "shown",
]

_CLIENT_OPTIONS = ("url", "path", "host", "port", "api_key", "location", "prefer_grpc")


def _client(value: Any) -> QdrantClient | None:
    if value is None or isinstance(value, QdrantClient) or engine_of(value) == "edge":
        return cast("QdrantClient | None", value)
    if isinstance(value, AsyncQdrantClient):
        raise ValueError("client takes a QdrantClient; this is an AsyncQdrantClient: pass it as async_client")
    raise ValueError(f"client takes a QdrantClient, got {type(value).__name__}; from_existing_collection makes one from a URL")


def _async_client(value: Any) -> Any:
    if isinstance(value, QdrantClient):
        raise ValueError("async_client takes an AsyncQdrantClient; this is a QdrantClient: pass it as client")
    if value is None or isinstance(value, AsyncQdrantClient) or callable(value):
        return value
    raise ValueError(f"async_client takes an AsyncQdrantClient, or a function that makes one, got {type(value).__name__}")


def _embeddings(value: Any) -> Embeddings | None:
    if value is None or isinstance(value, Embeddings):
        return value
    raise ValueError(
        f"embedding takes a LangChain Embeddings, got {type(value).__name__}; functions and encoders go, "
        "by vector name, into encoders={…}"
    )


def _sparse_embeddings(value: Any) -> AnyEncoder:
    if value is None or is_embeddings(value):
        return value
    raise ValueError(f"sparse_embedding takes langchain-qdrant's SparseEmbeddings, got {type(value).__name__}")


def _encoders(value: Any) -> EncodersLike:
    if isinstance(value, Encoders):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"encoders takes Encoders, or a mapping from vector names to encoders, got {type(value).__name__}")
    for encoder in value.values():
        encoder_of(encoder)
    return dict(value)


def _model(value: Any) -> Any:
    if isinstance(value, type):
        raise ValueError(f"model takes a reranker; this is the class {value.__name__}: pass an object of it")
    if value is not None:
        as_reranker(value)
    return value


def _blend(value: Any) -> Expression | None:
    if isinstance(value, str):
        return parse_expression(value)
    return None if value is None else as_expression(value)


def _written(blend: Expression | None) -> str | None:
    return None if blend is None else repr(blend)


def _strategy(value: Any) -> Strategy:
    if isinstance(value, Strategy):
        return value
    in_file = isinstance(value, str | PathLike) and str(value).endswith(".json")
    hint = f"; for one that is in a file, pass load({str(value)!r})" if in_file else ""
    raise ValueError(f"strategy takes a strategy such as Nearest() or Formula(…).over(Nearest(limit=100)), got {value!r}{hint}")


def _k(value: Any) -> Any:
    check_k(value)
    return value


def _filter(value: Any) -> models.Filter | None:
    if value is None or isinstance(value, models.Filter):
        return value
    raise ValueError(not_a_filter(value))


def _payload(value: Any) -> Any:
    as_mapping(value)
    return value


def _schema_ttl(value: Any) -> float | None:
    check_schema_ttl(value)
    return cast("float | None", value)


def _retries(value: Any) -> int | Retries:
    Retries.of(value)
    return cast("int | Retries", value)


def _score_key(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value and value not in RESERVED):
        return value
    raise ValueError(f"score_key takes a metadata key other than {' and '.join(map(repr, RESERVED))}, or None, got {value!r}")


def _timeout(value: Any) -> float | None:
    if value is not None and (problem := timeout_problem(value)):
        raise ValueError(problem)
    return cast("float | None", value)


def _explanation_key(value: Any) -> str:
    if isinstance(value, str) and value and value not in RESERVED:
        return value
    raise ValueError(f"explanation_key takes a metadata key other than {' and '.join(map(repr, RESERVED))}, got {value!r}")


ClientField: TypeAlias = Annotated[QdrantClient | None, PlainValidator(_client)]
AsyncClientField: TypeAlias = Annotated[
    AsyncQdrantClient | Callable[[], AsyncQdrantClient] | None, PlainValidator(_async_client)
]
EmbeddingsField: TypeAlias = Annotated[Embeddings | None, PlainValidator(_embeddings)]
SparseEmbeddingsField: TypeAlias = Annotated[Any, PlainValidator(_sparse_embeddings)]
EncodersField: TypeAlias = Annotated[Mapping[str, AnyEncoder] | Encoders, PlainValidator(_encoders)]
BlendField: TypeAlias = Annotated[Expression | None, PlainValidator(_blend), PlainSerializer(_written)]
ModelField: TypeAlias = Annotated[Any, PlainValidator(_model)]
StrategyField: TypeAlias = Annotated[Strategy, PlainValidator(_strategy)]
KField: TypeAlias = Annotated[int, PlainValidator(_k)]
FilterField: TypeAlias = Annotated[models.Filter | None, PlainValidator(_filter)]
PayloadField: TypeAlias = Annotated[
    str | PayloadMapping | Callable[[Mapping[str, Any]], tuple[str, Mapping[str, Any]]], PlainValidator(_payload)
]
SchemaTtlField: TypeAlias = Annotated[float | None, PlainValidator(_schema_ttl)]
RetriesField: TypeAlias = Annotated[int | Retries, PlainValidator(_retries)]
TimeoutField: TypeAlias = Annotated[float | None, PlainValidator(_timeout)]
ScoreKeyField: TypeAlias = Annotated[str | None, PlainValidator(_score_key)]
ExplanationKeyField: TypeAlias = Annotated[str, PlainValidator(_explanation_key)]


def refuse_unknown(given: Iterable[str], known: Iterable[str], whose: str = "retriever") -> None:
    """Refuse arguments that the constructor doesn't have.

    Raises:
        ValueError: there is one; the message lists those that there are.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            takes = whose == "retriever" and name in _CLIENT_OPTIONS
            hint = ": from_existing_collection takes it" if takes else did_you_mean(name, names)
            raise ValueError(f"the {whose} has no field {name!r}; it has {', '.join(names)}{hint}")


class _Shown(str):
    """Text whose repr is itself."""

    def __repr__(self) -> str:
        return str(self)


def shown(retriever: BaseModel) -> Iterator[tuple[str, Any]]:
    """A retriever's fields for its repr: those that differ from the default, clients and models by their class alone."""
    for name, info in type(retriever).model_fields.items():
        value = getattr(retriever, name)
        if name == "executors" or value is None or value == {} or (not info.exclude and value == info.get_default()):
            continue
        if name == "encoders":
            yield name, {key: _Shown(type(encoder).__name__) for key, encoder in listed(value).items()}
        else:
            yield name, _Shown(type(value).__name__) if info.exclude else value

"""The types of the retriever's fields, with the checks that each makes; and how fields are shown.

No check touches the network, a model or a collection. Messages name the type of what may hold a secret, not its value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, TypeAlias, cast

from langchain_core.embeddings import Embeddings
from langchain_core.runnables.utils import AnyConfigurableField, ConfigurableField
from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from qdrant_rerank import PayloadMapping, Retries, SearchOptions, Strategy, StrategyError, from_json, to_json
from qdrant_rerank._internals import (
    QueryVector,
    as_encoder,
    as_mapping,
    check_count,
    check_filter,
    check_options,
    check_reranker,
    check_schema_ttl,
    check_strategy,
    engine_of,
    filter_keys,
    find_unknown,
    in_worker,
    inherits,
    timeout_problem,
)
from qdrant_rerank.expressions import Expression, as_expression, parse_expression
from qdrant_rerank.models import Encoder, Encoders

from .documents import RESERVED
from .migration import translate

__all__ = [
    "OWN",
    "AsyncClientField",
    "BlendField",
    "ClientField",
    "EmbeddingsEncoder",
    "EmbeddingsField",
    "EncodersField",
    "ExplanationKeyField",
    "FilterField",
    "KField",
    "OptionsField",
    "ParamsField",
    "PayloadField",
    "RerankerField",
    "RetriesField",
    "SchemaTtlField",
    "ScoreKeyField",
    "SparseEmbeddingsField",
    "StrategyField",
    "TimeoutField",
    "describe_call",
    "list_encoders",
    "make_encoders",
    "publish",
    "refuse_unknown",
    "show",
]

AnyEncoder: TypeAlias = Any
"""A LangChain `Embeddings`, langchain-qdrant's `SparseEmbeddings`, an `Encoder`, or a function from text to vector."""
EncodersLike: TypeAlias = "Mapping[str, AnyEncoder] | Encoders"
"""Encoders by vector name; or `Encoders`, which may also be for all vectors of a kind."""


@dataclass(frozen=True)
class EmbeddingsEncoder:
    """Embeds with a LangChain `Embeddings`, or with anything that has its methods, e.g. `SparseEmbeddings`."""

    embeddings: Any

    def encode_query(self, text: str) -> QueryVector:
        vector: QueryVector = self.embeddings.embed_query(text)
        return vector

    def encode_documents(self, texts: Sequence[str]) -> Sequence[QueryVector]:
        vectors: Sequence[QueryVector] = self.embeddings.embed_documents(list(texts))
        return vectors

    async def aencode_query(self, text: str) -> QueryVector:
        if _blocks(self.embeddings):
            return await in_worker(lambda: self.encode_query(text))
        vector: QueryVector = await self.embeddings.aembed_query(text)
        return vector


def _blocks(embeddings: Any) -> bool:
    """Whether there is no async method, or but LangChain's own, which runs the sync one in asyncio's pool."""
    return not hasattr(embeddings, "aembed_query") or inherits(embeddings, Embeddings, "aembed_query")


def is_embeddings(value: object) -> bool:
    """Whether `value` embeds as LangChain's embeddings do; sparse ones have no class in common with dense ones."""
    return isinstance(value, Embeddings) or callable(getattr(value, "embed_query", None))


def make_encoder(value: AnyEncoder) -> Encoder:
    """The encoder that `value` is or makes.

    Raises:
        StrategyError: it can't embed.
    """
    if is_embeddings(value):
        return EmbeddingsEncoder(value)
    try:
        return as_encoder(value)
    except StrategyError:
        raise StrategyError(
            f"{type(value).__name__} can't embed a query: encoders takes, for each vector's name, a LangChain Embeddings, "
            "a SparseEmbeddings, a qdrant_rerank Encoder, or a function from text to vector"
        ) from None


def list_encoders(encoders: EncodersLike) -> Mapping[str, AnyEncoder]:
    """Each of the encoders, by what it is for."""
    if not isinstance(encoders, Encoders):
        return encoders
    return {**encoders.named, **{f"any {kind} vector": encoder for kind, encoder in encoders.by_kind.items()}}


def make_encoders(embeddings: AnyEncoder, sparse_embeddings: AnyEncoder, named: EncodersLike) -> Encoders:
    """The encoders as `named` says; `embeddings` and `sparse_embeddings` are for all other vectors."""
    if isinstance(named, Encoders):
        rest = make_encoders(embeddings, sparse_embeddings, {})
        return Encoders(named.named, {**rest.by_kind, **named.by_kind})
    by_kind = {"dense": embeddings, "sparse": sparse_embeddings}
    return Encoders.of(
        {name: make_encoder(value) for name, value in named.items()},
        **{kind: make_encoder(value) for kind, value in by_kind.items() if value is not None},
    )


OWN: Final = {
    "limit": "k=…",
    "filter": "filter=…",
    "score_threshold": "score_threshold=…",
    "timeout": "timeout=…",
    "offset": "offset=… to the call",
}
"""The fields of `SearchOptions` for which there are arguments, and which."""
_CLIENT_OPTIONS = ("url", "path", "host", "port", "api_key", "location", "prefer_grpc")


def _validate_by(check: Callable[[Any], object], *, optional: bool = False) -> PlainValidator:
    """A validator that takes what `check` doesn't refuse, as it is; None too if it is optional."""

    def validate(value: Any) -> Any:
        if value is not None or not optional:
            check(value)
        return value

    return PlainValidator(validate)


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
        make_encoder(encoder)
    return dict(value)


def _blend(value: Any) -> Expression | None:
    if isinstance(value, str):
        return parse_expression(value)
    return None if value is None else as_expression(value)


def _write_blend(blend: Expression | None) -> str | None:
    return None if blend is None else repr(blend)


def _strategy(value: Any) -> Strategy:
    if isinstance(value, Mapping) and "kind" in value:  # as `model_dump` and a config in JSON have it
        return from_json(json.dumps(value))
    check_strategy(value)
    return cast("Strategy", value)


def _kinds(strategy: Strategy) -> Any:
    """The strategy as plain values, each part with its kind; its text where it has no JSON form."""
    try:
        return json.loads(to_json(strategy))
    except StrategyError:
        return repr(strategy)


def _params(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"params takes request-time values by name, e.g. {{'budget': 3}}, got {type(value).__name__}")
    return dict(value)


def _options(value: Any) -> SearchOptions:
    return check_options(value, OWN)


def _score_key(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value and value not in RESERVED):
        return value
    raise ValueError(f"score_key takes a metadata key other than {' and '.join(map(repr, RESERVED))}, or None, got {value!r}")


def _check_timeout(value: object) -> None:
    if problem := timeout_problem(value):
        raise ValueError(problem)


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
BlendField: TypeAlias = Annotated[Expression | None, PlainValidator(_blend), PlainSerializer(_write_blend)]
RerankerField: TypeAlias = Annotated[Any, _validate_by(check_reranker, optional=True)]
StrategyField: TypeAlias = Annotated[
    Strategy,
    PlainValidator(_strategy),
    PlainSerializer(_kinds),
    WithJsonSchema({"type": "object", "title": "Strategy", "description": "A strategy as qdrant_rerank.to_json writes it."}),
]
ParamsField: TypeAlias = Annotated[Mapping[str, Any], PlainValidator(_params)]
KField: TypeAlias = Annotated[int, _validate_by(partial(check_count, "k"))]
OptionsField: TypeAlias = Annotated[SearchOptions, BeforeValidator(_options)]
FilterField: TypeAlias = Annotated[models.Filter | None, _validate_by(check_filter)]
PayloadField: TypeAlias = Annotated[
    str | PayloadMapping | Callable[[Mapping[str, Any]], tuple[str, Mapping[str, Any]]], _validate_by(as_mapping)
]
SchemaTtlField: TypeAlias = Annotated[float | None, _validate_by(check_schema_ttl)]
RetriesField: TypeAlias = Annotated[int | Retries, _validate_by(Retries.of)]
TimeoutField: TypeAlias = Annotated[float | None, _validate_by(_check_timeout)]
ScoreKeyField: TypeAlias = Annotated[str | None, PlainValidator(_score_key)]
ExplanationKeyField: TypeAlias = Annotated[str, PlainValidator(_explanation_key)]


def publish(spec: AnyConfigurableField, strategy: Strategy) -> AnyConfigurableField:
    """A configurable strategy with its type and default as JSON has them: pydantic knows neither of an abstract class."""
    if not isinstance(spec, ConfigurableField) or spec.annotation is not None:
        return spec
    return spec._replace(annotation=Annotated[StrategyField, Field(json_schema_extra={"default": _kinds(strategy)})])


def refuse_unknown(given: Mapping[str, Any], known: Iterable[str], whose: str = "retriever") -> None:
    """Refuse arguments that the constructor doesn't have.

    Raises:
        ValueError: there is one; the message lists those that there are.
    """
    if whose == "retriever" and (instead := translate(given)):
        raise ValueError(instead)
    names = sorted(known)
    if unknown := find_unknown(given, names, OWN):
        name, hint = unknown
        if whose == "retriever" and name in _CLIENT_OPTIONS:
            hint = ": from_existing_collection takes it"
        raise ValueError(f"the {whose} has no field {name!r}; it has {', '.join(names)}{hint}")


class _Shown(str):
    """Text whose repr is itself."""

    def __repr__(self) -> str:
        return str(self)


def show(retriever: BaseModel) -> Iterator[tuple[str, Any]]:
    """A retriever's fields for its repr: those that differ from the default, clients and models by their class alone."""
    for name, info in type(retriever).model_fields.items():
        value = getattr(retriever, name)
        if name == "executors" or value is None or value == {} or (not info.exclude and value == info.get_default()):
            continue
        if name == "params":
            yield name, sorted(value)  # the values may be a user's
        elif name == "encoders":
            yield name, {key: _Shown(type(encoder).__name__) for key, encoder in list_encoders(value).items()}
        else:
            yield name, _Shown(type(value).__name__) if info.exclude else value


def describe_call(retriever: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """What traces say of a call: the collection, the kinds of the strategy, how many documents, and which keys filters read.

    No value of a filter is among it, which may say whose documents they are.

    Args:
        retriever: whose settings count where the call has none.
        options: the call's, unchecked.
    """
    strategy, k = options.get("strategy") or retriever.strategy, options.get("k") or retriever.k
    filters = retriever.fixed_filter, retriever.filter, options.get("filter")
    keys = {key for each in filters if isinstance(each, models.Filter) for key in filter_keys(each)}
    return {
        "qdrant_collection": retriever.collection_name,
        "qdrant_strategy": _outline(strategy) if isinstance(strategy, Strategy) else type(strategy).__name__,
        "qdrant_k": k if isinstance(k, int) else str(k),
        "qdrant_filter_keys": sorted(keys),
    }


def _outline(strategy: Strategy) -> str:
    """A strategy's kinds and vectors, nested: `Formula(Nearest('dense'), Nearest('bm25'))`."""
    inside: list[str] = []
    for name, value in vars(strategy).items():
        if name == "using" and isinstance(value, str):
            inside.append(repr(value))
        if name.startswith("_"):  # what a strategy keeps of itself
            continue
        inside += [_outline(one) for one in (value if isinstance(value, tuple) else [value]) if isinstance(one, Strategy)]
    return f"{type(strategy).__name__}({', '.join(inside)})"

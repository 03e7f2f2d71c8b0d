"""LlamaIndex's query bundles as the queries of `qdrant_rerank`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.base.embeddings.base import mean_agg
from llama_index.core.schema import QueryBundle, QueryType
from pydantic import BaseModel

from qdrant_rerank import Query, QueryError, Strategy
from qdrant_rerank._internals import Embed, Explained, Flow, QueryVector, add_params
from qdrant_rerank.planning import Plan

__all__ = ["ParamsQueryBundle", "as_bundles", "as_query", "bundle_flow"]


@dataclass
class ParamsQueryBundle(QueryBundle):
    """A query that brings values for a formula, or vectors that need not be embedded.

        retriever.retrieve(ParamsQueryBundle("cheap flights", params={"budget": 300.0}))

    Attributes:
        params: request-time values by name, for `param(name)` in formulas; before the retriever's own.
        vectors: query vectors by vector name; `""` is the unnamed one.
        now: what `now()` means in formulas; the time of the call if None.
    """

    params: dict[str, Any] = field(default_factory=dict)
    vectors: dict[str, QueryVector] = field(default_factory=dict)
    now: dt.datetime | None = None


def as_bundles(queries: Sequence[QueryType]) -> list[QueryBundle]:
    """The queries of a batch as bundles; those that are bundles stay as they are.

    Raises:
        TypeError: it is a single query.
        QueryError: one of them is neither a text nor a bundle.
    """
    if isinstance(queries, str | QueryBundle):
        raise TypeError("retrieve_batch takes a list of queries; for a single one call retrieve")
    return [_as_bundle(query) for query in queries]


def _as_bundle(query: QueryType) -> QueryBundle:
    if isinstance(query, QueryBundle):
        return query
    if isinstance(query, str):
        return QueryBundle(query)
    raise QueryError(f"a query must be a text or a QueryBundle, got {type(query).__name__} {query!r}"[:500])


def bundle_flow(
    plan: Plan,
    bundle: QueryBundle,
    params: Mapping[str, Any],
    own_encoders: frozenset[str],
    explanations: bool = False,
) -> Flow[Explained]:
    """The steps from a bundle to ranked points, with their reasons if asked; the bundle isn't changed.

    Args:
        plan: what to run.
        bundle: the query; its embedding is used if there is one, else the mean of those of its `custom_embedding_strs`.
        params: request-time values, under those that the bundle brings.
        own_encoders: the names of the vectors that have an encoder of their own, so that the bundle's embedding,
            which stems from the embedding model, isn't meant for them.
        explanations: whether to say why each point is where it is.

    Raises:
        QueryError: the bundle asks by an image, or there is nothing to embed.
        StrategyError: results of this strategy, or of groups, can't be explained.
    """
    query = as_query(bundle, params, plan.strategy)
    if bundle.embedding is None and bundle.custom_embedding_strs is None and bundle.image_path is None:  # a text alone
        return plan.answer(query, explanations)
    return _bring(plan, bundle, query, own_encoders, explanations)


def _bring(plan: Plan, bundle: QueryBundle, query: Query, own_encoders: frozenset[str], explanations: bool) -> Flow[Explained]:
    """As `bundle_flow`, for a bundle that brings more than a text."""
    dense = frozenset(name for name in plan.strategy.needs() if plan.target.schema.vectors[name].kind == "dense")
    vectors = dict(query.vectors)
    if bundle.embedding is not None:
        for name in _pick_vectors(dense, own_encoders):
            vectors.setdefault(name, list(bundle.embedding))
    missing = dense.difference(vectors)
    if missing and bundle.custom_embedding_strs is not None:
        vectors |= yield from _aggregate(bundle.custom_embedding_strs, missing)
    if bundle.image_path is not None and plan.strategy.needs().difference(vectors):
        raise QueryError("the query is an image, and this package embeds text: pass its vector as the bundle's embedding")
    return (yield from plan.answer(Query(query.text, vectors, query.params, query.now), explanations))


def as_query(bundle: QueryBundle, params: Mapping[str, Any], strategy: Strategy | None = None) -> Query:
    """What a bundle asks, with request-time values under those that it brings."""
    if isinstance(bundle, ParamsQueryBundle):
        return Query(bundle.query_str, bundle.vectors, add_params(params, bundle.params, strategy), bundle.now)
    return Query(bundle.query_str, params=params)


def _pick_vectors(dense: frozenset[str], own_encoders: frozenset[str]) -> frozenset[str]:
    """The vectors that a bundle's embedding is for."""
    shared = dense - own_encoders
    return dense if not shared and len(dense) == 1 else shared


def _aggregate(texts: list[str], names: frozenset[str]) -> Flow[dict[str, QueryVector]]:
    """The mean of the texts' query embeddings, as LlamaIndex's own retrievers ask for."""
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise QueryError(f"the query's custom_embedding_strs must be texts that aren't empty, got {texts!r}")
    embedded = yield from Embed(texts, names)
    found: dict[str, QueryVector] = {}
    for name in names:
        rows: list[Any] = [vectors[name] for vectors in embedded]
        if any(isinstance(row, BaseModel) for row in rows):
            raise QueryError(f"the encoder of {name!r} leaves embedding to the server: custom_embedding_strs can't be averaged")
        found[name] = mean_agg(rows)
    return found

"""The postprocessor: nodes that any retriever found, ranked anew by Qdrant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field, PrivateAttr, field_serializer
from qdrant_client import QdrantClient, models

from qdrant_rerank import Capabilities, Plan, QueryError, Scope, Stage, from_json, to_json
from qdrant_rerank.capabilities import Engine
from qdrant_rerank.checks import is_whole
from qdrant_rerank.clients import AsyncClientLike
from qdrant_rerank.steps import Flow, Points, arun, run
from qdrant_rerank.why import Explained

from .embeddings import AnyEncoder, SparseLike
from .ids import PointId
from .queries import bundle_flow
from .rescoring import Missing, ScoreSource, check_rescoring, over_nodes, over_scored_nodes, split, to_ranked_nodes
from .store import Source, source_of
from .tracing import dispatcher, reranking

__all__ = ["QdrantRerankPostprocessor"]

_LOCAL_SCORES = 100  # local mode needs a second for 150 scores, and four times as long for twice as many


class QdrantRerankPostprocessor(BaseNodePostprocessor):
    """Ranks nodes anew by a strategy that Qdrant runs over their points, in one request.

        QdrantRerankPostprocessor.from_vector_store(store, strategy=Formula(score() + 0.1 * field("popularity", default=0)))
        QdrantRerankPostprocessor.from_vector_store(store, strategy=Nearest("colbert"), encoders={"colbert": …}, top_n=4)

    The nodes are the candidates, found by their ids. A formula needs no `.over(…)`: `score()` in it is the similarity
    of the query to the collection's only dense vector, or to the one named by `using`, which Qdrant computes anew.
    With `score_source="nodes"`, it is the score that each node comes with (0 if it has none). A formula that doesn't
    read `score()` needs no query at all.

    Nodes that Qdrant gives no score (it doesn't have them, or they lack the vector) come last, with the score None, in
    the order they came; see `missing`. The nodes that come in aren't changed.

    Args:
        strategy: any stage, e.g. a formula, or `Nearest("colbert")` for late interaction (or its `to_json` value).
        client, async_client, collection_name, vector_store, embed_model, sparse_encoder, encoders, capabilities: as for
            `QdrantRerankRetriever`.
        using: the dense vector behind `score()`, where the collection has several.
        score_source: what `score()` means: "qdrant" or "nodes".
        top_n: how many nodes to return; all if None.
        missing: nodes without a score: "keep_at_end", "drop" or "raise".
        keep_retrieval_score: whether the score that a node came with goes to its metadata under `retrieval_score`,
            hidden from models.
        features: request-time values by name, for `given(name)`; those of a `FeatureQueryBundle` go before them.
        shard_key_selector: the custom shards that the points are in.
        consistency: read consistency across replicas.
        timeout: seconds for a request.
        callback_manager: as for every postprocessor.

    Raises:
        QdrantRerankError: an argument can't be; the message says which, and what to pass.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    strategy: Any
    collection_name: str
    using: str | None = None
    score_source: ScoreSource = "qdrant"
    top_n: int | None = None
    missing: Missing = "keep_at_end"
    keep_retrieval_score: bool = False
    features: dict[str, Any] = Field(default_factory=dict)
    shard_key_selector: models.ShardKeySelector | None = None
    consistency: models.ReadConsistency | None = None
    timeout: int | None = None

    _source: Source = PrivateAttr()
    _prepared: tuple[Any, str | None, Stage] | None = PrivateAttr(None)

    def __init__(
        self,
        strategy: Stage | Mapping[str, Any],
        *,
        client: QdrantClient | None = None,
        async_client: AsyncClientLike | None = None,
        collection_name: str | None = None,
        vector_store: Any | None = None,
        embed_model: Any | None = None,
        sparse_encoder: SparseLike | None = None,
        encoders: Mapping[str, AnyEncoder] | None = None,
        using: str | None = None,
        score_source: ScoreSource = "qdrant",
        top_n: int | None = None,
        missing: Missing = "keep_at_end",
        keep_retrieval_score: bool = False,
        features: Mapping[str, Any] | None = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        consistency: models.ReadConsistency | None = None,
        timeout: int | None = None,
        callback_manager: CallbackManager | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        source = source_of(
            vector_store, client, async_client, collection_name, embed_model, sparse_encoder, encoders, capabilities
        )
        read = from_json(json.dumps(strategy)) if isinstance(strategy, Mapping) else strategy
        _check_top_n(top_n)
        settings: dict[str, Any] = {
            "strategy": check_rescoring(read, using, score_source, missing),
            "collection_name": source.collection,
            "using": using,
            "score_source": score_source,
            "top_n": top_n,
            "missing": missing,
            "keep_retrieval_score": keep_retrieval_score,
            "features": dict(features or {}),
            "shard_key_selector": shard_key_selector,
            "consistency": consistency,
            "timeout": timeout,
            "callback_manager": callback_manager or CallbackManager(),
        }
        super().__init__(**settings)
        self._source = source

    @classmethod
    def from_vector_store(cls, vector_store: Any, **arguments: Any) -> Self:
        """A postprocessor over what a `llama_index.vector_stores.qdrant.QdrantVectorStore` holds.

        Args:
            vector_store: its clients, collection and sparse query function are read at each call.
            **arguments: the constructor's; `strategy` is required.

        Raises:
            StrategyError: the store isn't one.
        """
        return cls(vector_store=vector_store, **arguments)

    @classmethod
    def class_name(cls) -> str:
        return "QdrantRerankPostprocessor"

    @field_serializer("strategy")
    def _strategy_as_json(self, strategy: Stage) -> Any:
        return json.loads(to_json(strategy))

    @dispatcher.span
    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._reranking(nodes, query_bundle) as ranked:
            points: Points = []
            if places := split(nodes):
                executor = self._source.executor()
                tree = self._tree(nodes, places, executor.clients.engine)
                plan = executor.plan(tree, self._scope(list(places)))
                points = run(self._flow(plan, query_bundle), executor).points
            ranked.extend(self._ranked(nodes, points))
        return ranked

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._reranking(nodes, query_bundle) as ranked:
            points: Points = []
            if places := split(nodes):
                executor = self._source.async_executor()
                tree = self._tree(nodes, places, executor.clients.engine)
                plan = await executor.plan(tree, self._scope(list(places)))
                points = (await arun(self._flow(plan, query_bundle), executor)).points
            ranked.extend(self._ranked(nodes, points))
        return ranked

    def _reranking(self, nodes: list[NodeWithScore], bundle: QueryBundle | None) -> AbstractContextManager[list[NodeWithScore]]:
        top_n = len(nodes) if self.top_n is None else self.top_n
        name = f"Qdrant {type(self.strategy).__name__}"  # not the whole strategy: a learned one is long
        return reranking(self.callback_manager, nodes, bundle, top_n, name)

    def _tree(self, nodes: Sequence[NodeWithScore], places: Mapping[PointId, list[int]], engine: Engine) -> Stage:
        """The strategy over the nodes' points."""
        if self.score_source == "nodes":
            if engine == "local" and len(places) > _LOCAL_SCORES:
                raise QueryError(
                    f"score_source='nodes' sends each node's score, and local mode takes seconds for {len(places)} of them: "
                    f"use a server, or rescore at most {_LOCAL_SCORES} nodes"
                )
            return over_scored_nodes(self.strategy, {point: nodes[at[0]].get_score() for point, at in places.items()})
        if self._prepared is None or self._prepared[0] is not self.strategy or self._prepared[1] != self.using:
            self._prepared = self.strategy, self.using, over_nodes(self.strategy, self.using)
        return self._prepared[2]  # the same object each time, so that it is planned once

    def _scope(self, points: list[PointId]) -> Scope:
        return Scope(
            limit=len(points),  # all, since those that don't come back are missing
            filter=models.Filter(must=[models.HasIdCondition(has_id=list(points))]),
            shard_key_selector=self.shard_key_selector,
            consistency=self.consistency,
            timeout=self.timeout,
            with_payload=False,
        )

    def _flow(self, plan: Plan, bundle: QueryBundle | None) -> Flow[Explained]:
        if bundle is None and plan.strategy.needs():
            listed = ", ".join(map(repr, sorted(plan.strategy.needs())))
            raise QueryError(
                f"{self.strategy!r} compares the query by {listed}, and there is none: pass query_bundle or query_str"
            )
        return bundle_flow(plan, bundle or QueryBundle(""), self.features, self._source.own_encoders)

    def _ranked(self, nodes: Sequence[NodeWithScore], points: Points) -> list[NodeWithScore]:
        _check_top_n(self.top_n)
        return to_ranked_nodes(nodes, points, self.strategy, self.missing, self.keep_retrieval_score)[: self.top_n]


def _check_top_n(top_n: int | None) -> None:
    if top_n is not None and not is_whole(top_n, 1):
        raise QueryError(f"top_n must be a whole number of at least 1, or None for all, got {top_n!r}")

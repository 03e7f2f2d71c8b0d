"""How the postprocessor ranks nodes, by Qdrant or by a model; and the settings that say how."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field, PrivateAttr, field_serializer
from qdrant_client import models

from qdrant_rerank import Expression, Plan, Query, QueryError, SearchOptions, Stage, to_json
from qdrant_rerank._internals import DocumentReranker, Engine, Explained, Flow, MissingText, OnError, Points, Workers, is_whole
from qdrant_rerank.models._internals import as_reranker

from .ids import PointId
from .model_reranking import candidates, rescoring_of, shown_name, to_nodes
from .queries import as_query, bundle_flow
from .rescoring import Missing, ScoreSource, over_nodes, over_scored_nodes, split, to_ranked_nodes
from .store import Source
from .tracing import dispatcher, reranking

__all__ = ["NodeRanking", "check_top_n"]

_LOCAL_SCORES = 100  # local mode needs a second for 150 scores, and four times as long for twice as many


class NodeRanking(BaseNodePostprocessor):
    """What `QdrantRerankPostprocessor` does; there it says what the settings mean."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    strategy: Any = None
    reranker: Any = Field(default=None, exclude=True)
    collection_name: str | None = None
    using: str | None = None
    score_source: ScoreSource = "qdrant"
    top_n: int | None = None
    missing: Missing = "keep_at_end"
    on_error: OnError = "raise"
    missing_text: MissingText = "last"
    blend: Any = None
    keep_retrieval_score: bool = False
    params: dict[str, Any] = Field(default_factory=dict)
    shard_key_selector: models.ShardKeySelector | None = None
    consistency: models.ReadConsistency | None = None
    timeout: float | None = None

    _source: Source | None = PrivateAttr(None)
    _workers: Workers = PrivateAttr(default_factory=Workers)
    _prepared: tuple[Any, str | None, Stage] | None = PrivateAttr(None)

    @field_serializer("strategy")
    def _strategy_as_json(self, strategy: Stage | None) -> Any:
        return None if strategy is None else json.loads(to_json(strategy))

    @field_serializer("blend")
    def _blend_as_text(self, blend: Expression | None) -> str | None:
        return None if blend is None else repr(blend)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The model by its class: what it holds may be secret."""
        for name, value in super().__repr_args__():
            yield name, type(value).__name__ if name == "reranker" and value is not None else value

    def close(self) -> None:
        """Close the clients that this made, and its threads; never a client that it was given."""
        self._workers.close()
        if self._source is not None:
            self._source.close()

    async def aclose(self) -> None:
        """As `close`, and the client of the running event loop is closed when this returns."""
        self._workers.close()
        if self._source is not None:
            await self._source.aclose()

    @dispatcher.span
    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._reranking(nodes, query_bundle) as ranked:
            if self._source is None:
                found = self._reranker().rank(self._asked(query_bundle), candidates(nodes))
                ranked.extend(to_nodes(nodes, found, self.keep_retrieval_score, self.blend is not None))
                return ranked
            points: Points = []
            if places := split(nodes):
                executor = self._source.executor()
                tree = self._tree(nodes, places, executor.clients.engine)
                options = self._options(list(places))
                points = executor.answer(tree, options, lambda plan: self._flow(plan, query_bundle)).points
            ranked.extend(self._ranked(nodes, points))
        return ranked

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._reranking(nodes, query_bundle) as ranked:
            if self._source is None:
                found = await self._reranker().arank(self._asked(query_bundle), candidates(nodes))
                ranked.extend(to_nodes(nodes, found, self.keep_retrieval_score, self.blend is not None))
                return ranked
            points: Points = []
            if places := split(nodes):
                executor = self._source.async_executor()
                tree = self._tree(nodes, places, executor.clients.engine)
                options = self._options(list(places))
                points = (await executor.answer(tree, options, lambda plan: self._flow(plan, query_bundle))).points
            ranked.extend(self._ranked(nodes, points))
        return ranked

    def _reranking(self, nodes: list[NodeWithScore], bundle: QueryBundle | None) -> AbstractContextManager[list[NodeWithScore]]:
        top_n = len(nodes) if self.top_n is None else self.top_n
        # not the whole strategy: a learned one is long
        name = f"Qdrant {type(self.strategy).__name__}" if self.reranker is None else shown_name(self.reranker)
        return reranking(self.callback_manager, nodes, bundle, top_n, name)

    def _reranker(self) -> DocumentReranker:
        check_top_n(self.top_n)
        rescore = rescoring_of(self.on_error, self.missing_text, self.blend, self.top_n)
        return DocumentReranker(as_reranker(self.reranker), rescore, self.timeout, self._workers)

    def _asked(self, bundle: QueryBundle | None) -> Query:
        if bundle is None:
            raise QueryError("a model reads the query's text, and there is none: pass query_bundle or query_str")
        return as_query(bundle, self.params)

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

    def _options(self, points: list[PointId]) -> SearchOptions:
        return SearchOptions(
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
        own_encoders = frozenset[str]() if self._source is None else self._source.own_encoders
        return bundle_flow(plan, bundle or QueryBundle(""), self.params, own_encoders)

    def _ranked(self, nodes: Sequence[NodeWithScore], points: Points) -> list[NodeWithScore]:
        check_top_n(self.top_n)
        return to_ranked_nodes(nodes, points, self.strategy, self.missing, self.keep_retrieval_score)[: self.top_n]


def check_top_n(top_n: int | None) -> None:
    """Check how many nodes are asked for.

    Raises:
        QueryError: not a whole number, or less than 1.
    """
    if top_n is not None and not is_whole(top_n, 1):
        raise QueryError(f"top_n must be a whole number of at least 1, or None for all, got {top_n!r}")

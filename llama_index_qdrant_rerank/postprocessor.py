"""The postprocessors: nodes that any retriever found, rescored in Qdrant, or reranked by a model that reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Self

from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field, PrivateAttr, TypeAdapter, field_serializer
from qdrant_client import QdrantClient, models

from qdrant_rerank import Query, QueryError, Rerank, Retries, SearchOptions, from_json, to_json
from qdrant_rerank._internals import (
    SCHEMA_TTL,
    AsyncClientLike,
    Candidate,
    DocumentReranker,
    Engine,
    Executors,
    Explained,
    Flow,
    KeepsExecutors,
    MissingText,
    OnError,
    Points,
    RerankerLike,
    Workers,
    add_params,
    as_reranker,
    check_options,
    check_reranker,
    is_whole,
    model_name,
    notes_of,
    timeout_problem,
)
from qdrant_rerank.expressions import Expression, parse_expression
from qdrant_rerank.planning import Capabilities, Plan
from qdrant_rerank.stages import Stage

from .node_scores import Missing, ScoreSource, check_over_nodes, over_nodes, over_scored_nodes, place_points, to_ranked_nodes
from .nodes import PointId, read_text, with_hidden
from .queries import as_query, bundle_flow
from .store import EncodersLike, ExecutorSettings, Source, SparseLike, make_source
from .tracing import dispatcher, report_reranking

__all__ = ["QdrantRerankPostprocessor", "RerankerPostprocessor"]

_OPTIONS: Final = TypeAdapter(SearchOptions)
_LOCAL_SCORES: Final = 100  # local mode needs a second for 150 scores, and four times as long for twice as many
_NO_TEXT: Final = "no text"
_OWN: Final = {"limit": "top_n=…", "timeout": "timeout=…"}
_NO_EFFECT: Final = ("filter", "score_threshold", "offset", "with_payload", "group_by", "group_size", "stable_ties")


class _Postprocessor(BaseNodePostprocessor):
    """What both postprocessors take, and how they report what they do."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    top_n: int | None = None
    keep_retrieval_score: bool = False
    params: dict[str, Any] = Field(default_factory=dict)
    timeout: float | None = None

    def __init__(self, callback_manager: CallbackManager | None, params: Mapping[str, Any] | None, **settings: Any) -> None:
        if problem := timeout_problem(settings["timeout"]):
            raise QueryError(problem)
        settings |= {
            "params": dict(add_params({}, {} if params is None else params, None)),
            "callback_manager": callback_manager or CallbackManager(),
        }
        super().__init__(**settings)
        self._check_top_n()

    @classmethod
    def class_name(cls) -> str:
        return cls.__name__

    def _check_top_n(self) -> None:
        if self.top_n is not None and not is_whole(self.top_n, 1):
            raise QueryError(f"top_n must be a whole number of at least 1, or None for all, got {self.top_n!r}")

    def _report(
        self, nodes: list[NodeWithScore], bundle: QueryBundle | None, name: str
    ) -> AbstractContextManager[list[NodeWithScore]]:
        self._check_top_n()
        top_n = len(nodes) if self.top_n is None else self.top_n
        return report_reranking(self.callback_manager, nodes, bundle, top_n, name)


class QdrantRerankPostprocessor(_Postprocessor, KeepsExecutors):
    """Rescores nodes by a strategy that Qdrant runs over their points, in one request.

        QdrantRerankPostprocessor.from_vector_store(store, strategy=Formula(score() + 0.1 * field("popularity", default=0)))
        QdrantRerankPostprocessor.from_vector_store(store, strategy=Nearest("colbert"), encoders={"colbert": …}, top_n=4)

    The nodes are the candidates, found by their ids. A formula needs no `.over(…)`: `score()` in it is the similarity of the
    query to the collection's only dense vector, or to the one named by `using`, which Qdrant computes again. With
    `score_source="nodes"`, it is the score that each node comes with (0 if it has none). A formula that doesn't read `score()`
    needs no query at all.

    Nodes that Qdrant gives no score (it doesn't have them, or they lack the vector) come last, with the score None, in
    the order they came; see `missing`. The nodes that come in aren't changed.

    Args:
        strategy: any stage, e.g. a formula, or `Nearest("colbert")` for late interaction (or its `to_json` value).
        client, async_client, collection_name, vector_store, embed_model, sparse_encoder: as for `QdrantRerankRetriever`.
        encoders, capabilities, fixed_filter, schema_ttl, retries: likewise. Nodes that `fixed_filter` leaves out get no score.
        using: the dense vector behind `score()`, where the collection has several.
        score_source: what `score()` means: "qdrant" or "nodes".
        top_n: how many nodes to return; all if None.
        missing: nodes without a score: "keep_at_end", "drop" or "raise".
        keep_retrieval_score: whether the score that a node came with goes to its metadata under `retrieval_score`,
            hidden from models.
        params: request-time values by name, for `param(name)`; those of a `ParamsQueryBundle` go before them.
        timeout: seconds for a whole call, e.g. 0.5; one that takes longer ends in a `qdrant_rerank.errors.TimeoutError`.
        options: `search_params`, `shard_key_selector` and `consistency`, as `qdrant_rerank.SearchOptions`.
        callback_manager: as for every postprocessor.

    Raises:
        QdrantRerankError: an argument can't be; the message says which, and what to pass.
    """

    strategy: Any
    collection_name: str
    using: str | None = None
    score_source: ScoreSource = "qdrant"
    missing: Missing = "keep_at_end"
    options: SearchOptions = SearchOptions()

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
        encoders: EncodersLike | None = None,
        using: str | None = None,
        score_source: ScoreSource = "qdrant",
        top_n: int | None = None,
        missing: Missing = "keep_at_end",
        keep_retrieval_score: bool = False,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        options: SearchOptions | Mapping[str, Any] | None = None,
        callback_manager: CallbackManager | None = None,
        capabilities: Capabilities | None = None,
        fixed_filter: models.Filter | None = None,
        schema_ttl: float | None = SCHEMA_TTL,
        retries: int | Retries = 0,
    ) -> None:
        settings = ExecutorSettings(capabilities, fixed_filter, schema_ttl, retries)
        place = vector_store, client, async_client, collection_name
        source = make_source(*place, embed_model, sparse_encoder, encoders, settings)
        stage = from_json(json.dumps(strategy)) if isinstance(strategy, Mapping) else strategy
        if isinstance(options, Mapping):  # as `to_dict` has them
            options = _OPTIONS.validate_python(options)
        super().__init__(
            callback_manager,
            params,
            strategy=check_over_nodes(stage, using, score_source, missing),
            collection_name=source.place.collection,
            using=using,
            score_source=score_source,
            top_n=top_n,
            missing=missing,
            keep_retrieval_score=keep_retrieval_score,
            timeout=timeout,
            options=check_options(options or SearchOptions(), _OWN, _NO_EFFECT),
        )
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

    @field_serializer("strategy")
    def _strategy_as_json(self, strategy: Stage) -> Any:
        return json.loads(to_json(strategy))

    @property
    def _executors(self) -> Executors:
        return self._source.executors

    @dispatcher.span
    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._report(nodes, query_bundle, self._name) as ranked:
            points: Points = []
            if places := place_points(nodes):
                executor = self._source.executor()
                tree = self._tree(nodes, places, executor.clients.engine)
                points = executor.answer(tree, self._options(places), lambda plan: self._flow(plan, query_bundle)).points
            ranked.extend(self._rank(nodes, points))
        return ranked

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._report(nodes, query_bundle, self._name) as ranked:
            points: Points = []
            if places := place_points(nodes):
                executor = self._source.async_executor()
                tree = self._tree(nodes, places, executor.clients.engine)
                found = await executor.answer(tree, self._options(places), lambda plan: self._flow(plan, query_bundle))
                points = found.points
            ranked.extend(self._rank(nodes, points))
        return ranked

    @property
    def _name(self) -> str:
        return f"Qdrant {type(self.strategy).__name__}"  # not the whole strategy: a learned one is long

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

    def _options(self, points: Iterable[PointId]) -> SearchOptions:
        ids = list(points)
        return replace(
            self.options,
            limit=len(ids),  # all, since those that don't come back are missing
            filter=models.Filter(must=[models.HasIdCondition(has_id=list(ids))]),
            timeout=self.timeout,
            with_payload=False,
        )

    def _flow(self, plan: Plan, bundle: QueryBundle | None) -> Flow[Explained]:
        if bundle is None and plan.strategy.needs():
            listed = ", ".join(map(repr, sorted(plan.strategy.needs())))
            raise QueryError(
                f"{self.strategy!r} compares the query by {listed}, and there is none: pass query_bundle or query_str"
            )
        return bundle_flow(plan, bundle or QueryBundle(""), self.params, self._source.own_encoders)

    def _rank(self, nodes: Sequence[NodeWithScore], points: Points) -> list[NodeWithScore]:
        return to_ranked_nodes(nodes, points, self.strategy, self.missing, self.keep_retrieval_score)[: self.top_n]


class RerankerPostprocessor(_Postprocessor):
    """Reranks nodes by a model that reads them; Qdrant isn't asked.

        RerankerPostprocessor(reranker=CohereReranker("rerank-v3.5"), top_n=4)

    The order is that of `Rerank` over the same nodes. The reranker reads each node's text with the metadata that embedding
    models are shown. The nodes that come in aren't changed.

    Args:
        reranker: a reranker, a function from a query and texts to scores (higher is better), or another node postprocessor
            that reranks.
        top_n: how many nodes to return; all if None.
        on_error: what happens when the reranker fails: "raise" its error, or "keep_order", which returns the nodes as they
            came, the first `top_n` of them with their scores, each with the error's name in its metadata under `not_reranked`,
            and warns.
        missing_text: what happens to a node without text: it comes "last", with the score None and `not_reranked`; or it is
            left out ("drop"); or it is an error ("raise").
        blend: an expression of `rerank_score()`, or its text, that makes the final score; see `Rerank`.
            `field("rating", default=…)` reads metadata, and `score()` is the score that a node came with (0 if it has none).
            The reranker's own score then goes to the metadata under `relevance_score`, hidden from models.
        keep_retrieval_score: whether the score that a node came with goes to its metadata under `retrieval_score`,
            hidden from models.
        params: request-time values by name, for `param(name)`; those of a `ParamsQueryBundle` go before them.
        timeout: seconds for a call, e.g. 0.5; one that takes longer ends in a `qdrant_rerank.errors.TimeoutError`, or in the
            nodes as they came where `on_error` is "keep_order".
        callback_manager: as for every postprocessor.

    Raises:
        QdrantRerankError: an argument can't be; the message says which, and what to pass.
    """

    reranker: Any = Field(exclude=True)
    on_error: OnError = "raise"
    missing_text: MissingText = "last"
    blend: Any = None

    _workers: Workers = PrivateAttr(default_factory=Workers)

    def __init__(
        self,
        reranker: RerankerLike,
        *,
        top_n: int | None = None,
        on_error: OnError = "raise",
        missing_text: MissingText = "last",
        blend: Expression | str | None = None,
        keep_retrieval_score: bool = False,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        check_reranker(reranker)
        read = parse_expression(blend) if isinstance(blend, str) else blend
        Rerank(on_error=on_error, missing_text=missing_text, blend=read)  # refuses what can't be
        super().__init__(
            callback_manager,
            params,
            reranker=reranker,
            top_n=top_n,
            on_error=on_error,
            missing_text=missing_text,
            blend=read,
            keep_retrieval_score=keep_retrieval_score,
            timeout=timeout,
        )

    @field_serializer("blend")
    def _blend_as_text(self, blend: Expression | None) -> str | None:
        return None if blend is None else repr(blend)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The reranker by its class: what it holds may be secret."""
        for name, value in super().__repr_args__():
            yield name, type(value).__name__ if name == "reranker" else value

    def close(self) -> None:
        """End the threads that what blocks runs in."""
        self._workers.close()

    async def aclose(self) -> None:
        """As `close`."""
        self._workers.close()

    @dispatcher.span
    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._report(nodes, query_bundle, _name_reranker(self.reranker)) as ranked:
            points = self._document_reranker().rank(self._query(query_bundle), _to_candidates(nodes))
            ranked.extend(self._to_nodes(nodes, points))
        return ranked

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        with self._report(nodes, query_bundle, _name_reranker(self.reranker)) as ranked:
            points = await self._document_reranker().arank(self._query(query_bundle), _to_candidates(nodes))
            ranked.extend(self._to_nodes(nodes, points))
        return ranked

    def _document_reranker(self) -> DocumentReranker:
        rerank = Rerank(on_error=self.on_error, missing_text=self.missing_text, blend=self.blend, top_n=self.top_n)
        return DocumentReranker(as_reranker(self.reranker), rerank, self.timeout, self._workers)

    def _query(self, bundle: QueryBundle | None) -> Query:
        if bundle is None:
            raise QueryError("a reranker reads the query's text, and there is none: pass query_bundle or query_str")
        return as_query(bundle, self.params)

    def _to_nodes(self, nodes: Sequence[NodeWithScore], points: Points) -> list[NodeWithScore]:
        """New nodes in the order of the points, whose ids are places in `nodes`."""
        return [self._renew(nodes[int(point.id)], point.score, notes_of(point)) for point in points]

    def _renew(self, node: NodeWithScore, score: float, notes: Mapping[str, Any]) -> NodeWithScore:
        added: dict[str, Any] = {"retrieval_score": node.score} if self.keep_retrieval_score else {}
        if (reason := notes.get("not_reranked")) is not None:
            added["not_reranked"] = reason
            return NodeWithScore(node=with_hidden(node.node, added), score=None if reason == _NO_TEXT else node.score)
        if self.blend is not None:
            added["relevance_score"] = float(notes["relevance_score"])
        return NodeWithScore(node=with_hidden(_drop_note(node.node), added), score=float(score))


def _name_reranker(reranker: Any) -> str:
    """What events call a reranker: its class, and its model's name if it has one."""
    if hasattr(reranker, "__qualname__"):
        return str(reranker.__qualname__)
    name = model_name(reranker)
    return type(reranker).__name__ + (f" {name}" if name else "")


def _to_candidates(nodes: Sequence[NodeWithScore]) -> list[Candidate]:
    return [Candidate(read_text(each.node), each.node.metadata, each.get_score()) for each in nodes]


def _drop_note(node: BaseNode) -> BaseNode:
    """The node without the note that an earlier reranking failed."""
    if "not_reranked" not in node.metadata:
        return node
    return node.model_copy(update={"metadata": {key: kept for key, kept in node.metadata.items() if key != "not_reranked"}})

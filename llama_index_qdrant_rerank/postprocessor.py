"""The postprocessor: nodes that any retriever found, ranked anew by Qdrant or by a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field, PrivateAttr, field_serializer
from qdrant_client import QdrantClient, models

from qdrant_rerank import Query, QueryError, Rerank, Retries, SearchOptions, StrategyError, from_json, to_json
from qdrant_rerank._internals import (
    SCHEMA_TTL,
    AsyncClientLike,
    Candidate,
    DocumentReranker,
    Engine,
    Explained,
    Flow,
    MissingText,
    OnError,
    Points,
    Workers,
    is_whole,
    notes_of,
    timeout_problem,
)
from qdrant_rerank.expressions import Expression, parse_expression
from qdrant_rerank.models._internals import RerankerLike, as_reranker, model_name
from qdrant_rerank.planning import Capabilities, Plan
from qdrant_rerank.stages import Stage

from .node_scores import Missing, ScoreSource, check_rescoring, over_nodes, over_scored_nodes, split, to_ranked_nodes
from .nodes import PointId, text_read, with_hidden
from .queries import as_query, bundle_flow
from .store import EncodersLike, Knowing, Source, SparseLike, source_of
from .tracing import dispatcher, reranking

__all__ = [
    "NodeRanking",
    "QdrantRerankPostprocessor",
    "candidates",
    "check_top_n",
    "checked_model",
    "rescoring_of",
    "shown_name",
    "to_nodes",
]

_NO_TEXT = "no text"


def checked_model(model: RerankerLike) -> RerankerLike:
    """The model, if it is one.

    Raises:
        StrategyError: it isn't.
    """
    if isinstance(model, type):
        raise StrategyError(f"reranker must be a reranker; this is the class {model.__name__}: pass an object of it")
    as_reranker(model)
    return model


def rescoring_of(on_error: OnError, missing_text: MissingText, blend: Expression | None, top_n: int | None = None) -> Rerank:
    """How a model ranks, as a postprocessor's settings say.

    Raises:
        StrategyError: a setting can't be.
    """
    return Rerank(on_error=on_error, missing_text=missing_text, blend=blend, top_n=top_n)


def shown_name(model: Any) -> str:
    """What events call a model: its class, and its name if it has one."""
    if hasattr(model, "__qualname__"):
        return str(model.__qualname__)
    name = model_name(model)
    return type(model).__name__ + (f" {name}" if name else "")


def candidates(nodes: Sequence[NodeWithScore]) -> list[Candidate]:
    """What a model reads of nodes, and a blend."""
    return [Candidate(text_read(each.node), each.node.metadata, each.get_score()) for each in nodes]


def to_nodes(nodes: Sequence[NodeWithScore], points: Points, keep_retrieval_score: bool, blends: bool) -> list[NodeWithScore]:
    """New nodes in the order of the points, whose ids are places in `nodes`."""
    return [_renewed(nodes[int(point.id)], point.score, notes_of(point), keep_retrieval_score, blends) for point in points]


def _renewed(
    node: NodeWithScore, score: float, notes: Mapping[str, Any], keep_retrieval_score: bool, blends: bool
) -> NodeWithScore:
    added: dict[str, Any] = {"retrieval_score": node.score} if keep_retrieval_score else {}
    if (reason := notes.get("not_rescored")) is not None:
        added["not_rescored"] = reason
        return NodeWithScore(node=with_hidden(node.node, added), score=None if reason == _NO_TEXT else node.score)
    if blends:
        added["relevance_score"] = float(notes["relevance_score"])
    return NodeWithScore(node=with_hidden(_fresh(node.node), added), score=float(score))


def _fresh(node: BaseNode) -> BaseNode:
    """The node without the note that an earlier reranking failed."""
    if "not_rescored" not in node.metadata:
        return node
    return node.model_copy(update={"metadata": {key: kept for key, kept in node.metadata.items() if key != "not_rescored"}})


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


class QdrantRerankPostprocessor(NodeRanking):
    """Ranks nodes anew: by a strategy that Qdrant runs over their points, in one request, or by a model that reads them.

        QdrantRerankPostprocessor.from_vector_store(store, strategy=Formula(score() + 0.1 * field("popularity", default=0)))
        QdrantRerankPostprocessor.from_vector_store(store, strategy=Nearest("colbert"), encoders={"colbert": …}, top_n=4)
        QdrantRerankPostprocessor(reranker=CohereReranker("rerank-v3.5"), top_n=4)

    With a strategy, the nodes are the candidates, found by their ids. A formula needs no `.over(…)`: `score()` in it is the
    similarity of the query to the collection's only dense vector, or to the one named by `using`, which Qdrant computes anew.
    With `score_source="nodes"`, it is the score that each node comes with (0 if it has none). A formula that doesn't
    read `score()` needs no query at all.

    Nodes that Qdrant gives no score (it doesn't have them, or they lack the vector) come last, with the score None, in
    the order they came; see `missing`. The nodes that come in aren't changed.

    With a model, Qdrant isn't asked, and there is no client: the order is that of `Rerank` over the same nodes. The model
    reads each node's text with the metadata that embedding models are shown.

    Args:
        strategy: any stage, e.g. a formula, or `Nearest("colbert")` for late interaction (or its `to_json` value).
        model: instead of a strategy: a reranker, a function from a query and texts to scores (higher is better), or
            another node postprocessor that reranks.
        on_error: what happens when the model fails: "raise" its error, or "keep_order", which returns the nodes as they came,
            the first `top_n` of them with their scores, each with the error's name in its metadata under `not_rescored`, and
            warns.
        missing_text: what happens to a node without text: it comes "last", with the score None and `not_rescored`; or it is
            left out ("drop"); or it is an error ("raise").
        blend: an expression of `rerank_score()`, or its text, that makes the final score; see `Rerank`. `field("rating",
            default=…)`
            reads metadata, and `score()` is the score that a node came with (0 if it has none). The model's own score then
            goes to the metadata under `relevance_score`, hidden from models.
        client, async_client, collection_name, vector_store, embed_model, sparse_encoder, encoders, capabilities, fixed_filter,
            schema_ttl, retries: as for `QdrantRerankRetriever`. A node that `fixed_filter` leaves out gets no score.
        using: the dense vector behind `score()`, where the collection has several.
        score_source: what `score()` means: "qdrant" or "nodes".
        top_n: how many nodes to return; all if None.
        missing: nodes without a score: "keep_at_end", "drop" or "raise".
        keep_retrieval_score: whether the score that a node came with goes to its metadata under `retrieval_score`,
            hidden from models.
        features: request-time values by name, for `param(name)`; those of a `ParamsQueryBundle` go before them.
        shard_key_selector: the custom shards that the points are in.
        consistency: read consistency across replicas.
        timeout: seconds for a whole call, by Qdrant or by a model, e.g. 0.5; a call that takes longer ends in a
            `qdrant_rerank.errors.TimeoutError`, or in the nodes as they came where `on_error` is "keep_order".
        callback_manager: as for every postprocessor.

    Raises:
        QdrantRerankError: an argument can't be; the message says which, and what to pass.
    """

    def __init__(
        self,
        strategy: Stage | Mapping[str, Any] | None = None,
        *,
        reranker: RerankerLike | None = None,
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
        on_error: OnError = "raise",
        missing_text: MissingText = "last",
        blend: Expression | str | None = None,
        keep_retrieval_score: bool = False,
        params: Mapping[str, Any] | None = None,
        shard_key_selector: models.ShardKeySelector | None = None,
        consistency: models.ReadConsistency | None = None,
        timeout: float | None = None,
        callback_manager: CallbackManager | None = None,
        capabilities: Capabilities | None = None,
        fixed_filter: models.Filter | None = None,
        schema_ttl: float | None = SCHEMA_TTL,
        retries: int | Retries = 0,
    ) -> None:
        check_top_n(top_n)
        if timeout is not None and (problem := timeout_problem(timeout)):
            raise QueryError(problem)
        of_qdrant = {
            "using": using,
            "score_source": score_source,
            "missing": missing,
            "shard_key_selector": shard_key_selector,
            "consistency": consistency,
        }
        read = parse_expression(blend) if isinstance(blend, str) else blend
        of_model = {"on_error": on_error, "missing_text": missing_text, "blend": read}
        place = client, async_client, collection_name, embed_model, sparse_encoder, encoders, capabilities
        settings: dict[str, Any] = {
            "top_n": top_n,
            "keep_retrieval_score": keep_retrieval_score,
            "timeout": timeout,
            **of_qdrant,
            **of_model,
        }
        if reranker is None:
            _refuse("a model", self._changed(of_model))
            source = source_of(vector_store, *place, Knowing(fixed_filter, schema_ttl, retries))
            stage = from_json(json.dumps(strategy)) if isinstance(strategy, Mapping) else strategy
            if stage is None:
                raise StrategyError(
                    "what shall rank the nodes? Pass strategy= for Qdrant, or reranker= for a model that reads them"
                )
            settings |= {"strategy": check_rescoring(stage, using, score_source, missing)}
            settings |= {"collection_name": source.collection}
        else:
            if strategy is not None:
                raise StrategyError("strategy ranks nodes by Qdrant, model by reading them: pass the one or the other")
            names = "client", "async_client", "collection_name", "embed_model", "sparse_encoder", "encoders", "capabilities"
            given = [name for name, value in zip(names, place, strict=True) if value is not None]
            given += ["vector_store"] if vector_store is not None else []
            given += ["fixed_filter"] if fixed_filter is not None else []
            given += ["schema_ttl"] if schema_ttl != SCHEMA_TTL else []
            given += ["retries"] if retries != 0 else []
            _refuse("a strategy", [*given, *self._changed(of_qdrant)])
            source = None
            settings |= {"reranker": checked_model(reranker)}
            rescoring_of(on_error, missing_text, read)
        settings |= {"params": dict(params or {}), "callback_manager": callback_manager or CallbackManager()}
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

    @classmethod
    def _changed(cls, settings: Mapping[str, Any]) -> list[str]:
        return [name for name, value in settings.items() if value is not None and value != cls.model_fields[name].default]


def _refuse(whose: str, given: list[str]) -> None:
    if given:
        raise StrategyError(f"{', '.join(given)}: only {whose} uses that, and there is none")

"""The postprocessor: nodes that any retriever found, ranked anew by Qdrant or by a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from llama_index.core.callbacks.base import CallbackManager
from qdrant_client import QdrantClient, models

from qdrant_rerank import Capabilities, Expression, QueryError, Retries, Stage, StrategyError, from_json, parse_expression
from qdrant_rerank._internals import SCHEMA_TTL, AsyncClientLike, MissingText, OnError, timeout_problem
from qdrant_rerank.models._internals import RerankerLike

from .embeddings import EncodersLike, SparseLike
from .model_reranking import checked_model, rescoring_of
from .node_ranking import NodeRanking, check_top_n
from .rescoring import Missing, ScoreSource, check_rescoring
from .store import Knowing, source_of

__all__ = ["QdrantRerankPostprocessor"]


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

"""The retriever: LlamaIndex's interface around the executors of `qdrant_rerank`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any, Never, Self

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.schema import IndexNode, MetadataMode, NodeWithScore, QueryBundle, QueryType
from llama_index.core.settings import Settings
from llama_index.core.vector_stores.types import MetadataFilters
from qdrant_client import QdrantClient, models
from typing_extensions import Unpack

from qdrant_rerank import Retries, SearchOptions, Strategy, StrategyError
from qdrant_rerank._internals import (
    SCHEMA_TTL,
    AsyncClientLike,
    Executors,
    Explained,
    Flow,
    KeepsExecutors,
    PayloadLike,
    RerankerLike,
    check_use,
    close_on_error,
    together,
)
from qdrant_rerank.planning import Capabilities, Plan, PlanDescription

from .nodes import NodeReader, NodeText, as_metadata_mode
from .options import Options, RetrievalOptions, refuse_unknown
from .queries import as_bundles, bundle_flow
from .store import EncodersLike, ExecutorSettings, SparseLike, StoreVector, make_source
from .tracing import dispatcher, report_retrievals

__all__ = ["QdrantRerankRetriever"]


class QdrantRerankRetriever(BaseRetriever, KeepsExecutors):
    """Answers a query with nodes from Qdrant, ranked by a strategy that Qdrant runs in one request, or by a reranker.

    `retrieve` and `aretrieve` take a text or a `QueryBundle`; with a `ParamsQueryBundle` the query brings values for
    formulas. Async calls are async down to the socket. The constructor makes no request and loads no model.

    Args:
        client: a `QdrantClient`, of a server or in local mode, or a `qdrant_rerank.edge.EdgeClient`. Over gRPC
            (`prefer_grpc=True`) the bare client made 1.7 to 2.1 times the searches of REST, and this 1.0 to 1.3 times
            (docs/benchmarks.md).
        async_client: an `AsyncQdrantClient`, or a function that makes one for each event loop. Without it, async
            calls make their own from `client`.
        collection_name: the collection to search.
        vector_store: a LlamaIndex `QdrantVectorStore`, instead of the three above; see `from_vector_store`.
        embed_model: embeds the query for any dense vector; None for LlamaIndex's `Settings.embed_model`. It is looked
            up at the first query that needs it.
        sparse_encoder: embeds the query for any sparse vector: an encoder, a function from text to
            `models.SparseVector`, or LlamaIndex's kind, from a list of texts to indices and values.
        encoders: what embeds the query for the vector of that name, before the two above; or a `qdrant_rerank` `Encoders`.
        reranker: scores texts, for strategies that have them read, such as `Rerank`: a reranker, a function
            from a query and texts to scores (higher is better), or any LlamaIndex node postprocessor that reranks. It reads
            a node's text with the metadata of `metadata_mode`.
        strategy: how nodes are found and ranked; None for `Nearest()`, or what the vector store suggests.
        similarity_top_k: how many nodes to return.
        filters, filter: LlamaIndex's metadata filters, and a `qdrant_client.models.Filter`; all restrictions are AND-ed.
        node_ids, doc_ids: only these nodes, only nodes of these documents; an empty list lets none through.
        score_threshold: the score to reach (for Euclid and Manhattan: the distance not to exceed).
        timeout: seconds for a whole call, e.g. 0.5: embedding, reading the schema, all searches, reranking; a call that takes
            longer ends in a `qdrant_rerank.errors.TimeoutError`, also a `TimeoutError`, that says in which step.
        options: what few need, as `qdrant_rerank.SearchOptions`: `search_params`, `shard_key_selector`, `consistency`,
            `group_by` and `group_size`, `stable_ties`, `offset`, and `with_payload`, in which must be what nodes are made of.
        params: request-time values by name, for `param(name)` in formulas.
        payload: how the collection was written: "llama_index", "langchain", "flat", a `PayloadMapping`, or a function
            from payload to `(text, metadata)`.
        metadata_mode: which of a node's metadata the reranker reads with its text: what embedding models are shown, as
            LlamaIndex's own rerankers do, or what language models are shown, all, or none (`MetadataMode.NONE`), which is what
            the command line and LangChain's retriever read.
        score_key: a metadata key to put the score under as well, hidden from models. Higher is better, as all in LlamaIndex
            takes it: for Euclid and Manhattan the score is minus the distance.
        explanations: whether each node's metadata says why it is where it is, without a further round trip: its rank and
            score in each candidate and what each term adds to its score, as plain values (`ResultReason.as_dict`). Language
            and embedding models aren't shown it.
        explanation_key: the metadata key for it.
        callback_manager, object_map, objects, verbose: as for every LlamaIndex retriever; without a manager, the embedding
            model's, or that of `Settings`.
        capabilities: what the server can do; asked of it if None.
        fixed_filter: only nodes that meet it, in all that is searched: the place for a tenant. `with_options` can't leave it
            out or replace it.
        schema_ttl: seconds after which the collection's schema is read again at the next query, as an alias may have moved;
            None for never. It is read again in any case when an answer contradicts it, and before a strategy is refused.
        retries: how often a request is made again, at most, after what may pass: a server that is away, overloaded or asks to
            wait (see `qdrant_rerank.Retries`), within the call's timeout. By default no request is repeated.
        coalesce: whether concurrent searches, of one event loop or of threads, leave in one batch while others are under way,
            on a server.

    Raises:
        QdrantRerankError: an argument can't be; the message says which, and what to pass.
    """

    def __init__(
        self,
        *,
        client: QdrantClient | None = None,
        async_client: AsyncClientLike | None = None,
        collection_name: str | None = None,
        vector_store: Any | None = None,
        embed_model: Any | None = None,
        sparse_encoder: SparseLike | None = None,
        encoders: EncodersLike | None = None,
        reranker: RerankerLike | None = None,
        strategy: Strategy | None = None,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        filters: MetadataFilters | None = None,
        filter: models.Filter | None = None,
        node_ids: Sequence[str] | None = None,
        doc_ids: Sequence[str] | None = None,
        score_threshold: float | None = None,
        timeout: float | None = None,
        options: SearchOptions | None = None,
        params: Mapping[str, Any] | None = None,
        payload: PayloadLike = "llama_index",
        metadata_mode: MetadataMode = MetadataMode.EMBED,
        score_key: str | None = None,
        explanations: bool = False,
        explanation_key: str = "_explanation",
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[IndexNode] | None = None,
        verbose: bool = False,
        capabilities: Capabilities | None = None,
        fixed_filter: models.Filter | None = None,
        schema_ttl: float | None = SCHEMA_TTL,
        retries: int | Retries = 0,
        coalesce: bool = True,
        **others: Never,
    ) -> None:
        refuse_unknown(others, QdrantRerankRetriever.__init__.__annotations__.keys() - {"others", "return"})
        # the model's, so that its events are in this retriever's traces: in a trace of another's they would be kept for ever
        own = embed_model.callback_manager if isinstance(embed_model, BaseEmbedding) else Settings.callback_manager
        super().__init__(callback_manager or own, object_map, objects, verbose)
        self._reader = NodeReader(payload, score_key, explanation_key)
        settings = ExecutorSettings(capabilities, fixed_filter, schema_ttl, retries, reranker, coalesce)
        texts = partial(NodeText.of, self._reader, as_metadata_mode(metadata_mode))
        place = vector_store, client, async_client, collection_name
        self._source = make_source(*place, embed_model, sparse_encoder, encoders, settings, texts)
        given: RetrievalOptions = {
            "strategy": strategy,
            "similarity_top_k": similarity_top_k,
            "filters": filters,
            "filter": filter,
            "node_ids": node_ids,
            "doc_ids": doc_ids,
            "score_threshold": score_threshold,
            "timeout": timeout,
            "options": options,
            "params": params,
            "explanations": explanations,
        }
        self._options = Options().change(given, self._reader)
        check_use(reranker, self.strategy)

    @classmethod
    def from_vector_store(cls, vector_store: Any, embed_model: Any | None = None, **arguments: Any) -> Self:
        """A retriever over what a `llama_index.vector_stores.qdrant.QdrantVectorStore` holds.

        Args:
            vector_store: its clients, collection, vector names, sparse query function and text key are read at each
                query.
            embed_model: as for the constructor.
            **arguments: the constructor's. Without a strategy: `Nearest` by the store's dense vector; for a hybrid
                store `Fusion.rrf()` with its sparse one, 100 candidates of each.

        Raises:
            StrategyError: the store isn't one.
        """
        settings: dict[str, Any] = {**arguments, "vector_store": vector_store, "embed_model": embed_model}
        return cls(**settings)

    @classmethod
    def from_index(cls, index: Any, **arguments: Any) -> Self:
        """A retriever over a `VectorStoreIndex` whose vector store is Qdrant's.

        Args:
            index: its vector store, embedding model, callback manager and objects are taken over.
            **arguments: the constructor's, before the index's.

        Raises:
            StrategyError: the index has no vector store, or not Qdrant's.
        """
        if not hasattr(index, "vector_store"):
            raise StrategyError(f"index must be a VectorStoreIndex, got {type(index).__name__}, which has no vector_store")
        found: dict[str, Any] = {
            "embed_model": getattr(index, "_embed_model", None),
            "callback_manager": getattr(index, "_callback_manager", None),
            "object_map": getattr(index, "_object_map", None),
        }
        settings: dict[str, Any] = dict(vector_store=index.vector_store, **{**found, **arguments})  # not given twice
        return cls(**settings)

    @classmethod
    def from_edge(cls, path: str | PathLike[str], collection_name: str, **arguments: Any) -> Self:
        """A retriever over a collection in a folder, which Qdrant's Rust engine searches in this process. No request.

        The folder's collection has one owner: while this retriever's client has it open, another client, in this process
        or another, can't. `retriever.close()` closes it; retrievers over the same folder share one client:
        `QdrantRerankRetriever(client=retriever.client, collection_name="other")`. Async calls run in a worker thread, and
        keep the event loop waiting for one query of the engine at most.

        Args:
            path: the folder of collections, as `EdgeClient` takes it; `path/collection_name` is this one. Where a folder is
                itself one collection: `client=EdgeClient(path, collection=collection_name)` instead.
            collection_name: the collection to search.
            **arguments: the constructor's.

        Raises:
            MissingExtra: qdrant-edge isn't installed.
            ClientError: the path is a file, or a folder that qdrant-client's local mode wrote.
        """
        from qdrant_rerank.edge import EdgeClient

        with close_on_error(EdgeClient(path)) as client:
            settings: dict[str, Any] = dict(client=client, collection_name=collection_name, **arguments)  # none of them twice
            made = cls(**settings)
            made._executors.own(client)
            return made

    @property
    def client(self) -> QdrantClient | None:
        """The sync client."""
        return self._source.place.client

    @property
    def _executors(self) -> Executors:
        return self._source.executors

    @property
    def fixed_filter(self) -> models.Filter | None:
        """What every node meets that is found, whatever a call asks."""
        return self._source.fixed_filter

    @property
    def similarity_top_k(self) -> int:
        """How many nodes to return."""
        return self._options.similarity_top_k

    @similarity_top_k.setter
    def similarity_top_k(self, similarity_top_k: int) -> None:
        self._options = self._options.change({"similarity_top_k": similarity_top_k}, self._reader)

    @property
    def strategy(self) -> Strategy:
        """How nodes are found and ranked."""
        return self._options.strategy or StoreVector.name_plainly(self._source.strategy())

    def with_options(self, **options: Unpack[RetrievalOptions]) -> Self:
        """A cheap copy with other options (see `RetrievalOptions`) that shares connections and the known schema.

        `filters`, `filter`, `node_ids` and `doc_ids` narrow further, `params` are added, the rest is replaced.
        """
        made = copy.copy(self)
        made._options = self._options.change(options, self._reader)
        return made

    @dispatcher.span
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        executor = self._source.executor()
        options = self._options.search_options
        found = executor.answer(self._ranking(), options, lambda plan: self._flow(plan, query_bundle))
        return self._nodes(found, executor.collection)

    @dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        executor = self._source.async_executor()
        options = self._options.search_options
        found = await executor.answer(self._ranking(), options, lambda plan: self._flow(plan, query_bundle))
        return self._nodes(found, executor.collection)

    def retrieve_batch(self, queries: Sequence[QueryType], **options: Unpack[RetrievalOptions]) -> list[list[NodeWithScore]]:
        """The nodes for each query, with as many round trips as one query takes.

        Args:
            queries: texts or query bundles.
            **options: as for `with_options`, for this call.
        """
        retriever, bundles = self.with_options(**options), as_bundles(queries)
        if not bundles:
            return []
        with report_retrievals(retriever, bundles) as answers:
            executor = retriever._source.executor()
            search_options = retriever._options.search_options
            found = executor.answer(retriever._ranking(), search_options, lambda plan: retriever._flows(plan, bundles))
            for bundle, answer in zip(bundles, found, strict=True):
                answers.append(retriever._handle_recursive_retrieval(bundle, retriever._nodes(answer, executor.collection)))
        return answers

    async def aretrieve_batch(
        self, queries: Sequence[QueryType], **options: Unpack[RetrievalOptions]
    ) -> list[list[NodeWithScore]]:
        """As `retrieve_batch`, without blocking the event loop."""
        retriever, bundles = self.with_options(**options), as_bundles(queries)
        if not bundles:
            return []
        with report_retrievals(retriever, bundles) as answers:
            executor = retriever._source.async_executor()
            search_options = retriever._options.search_options
            found = await executor.answer(retriever._ranking(), search_options, lambda plan: retriever._flows(plan, bundles))
            for bundle, answer in zip(bundles, found, strict=True):
                nodes = retriever._nodes(answer, executor.collection)
                answers.append(await retriever._ahandle_recursive_retrieval(bundle, nodes))
        return answers

    def describe(self, **options: Unpack[RetrievalOptions]) -> PlanDescription:
        """What a query with these options asks of Qdrant, what it costs, and which servers would refuse it; `print` it.

        A sample of points tells keys that none has, and values of another type than is read.
        """
        retriever = self.with_options(**options)
        executor, asked = retriever._source.executor(), retriever._options.search_options
        return executor.answer(retriever._ranking(), asked, lambda plan: plan.check_keys()).describe()

    def _ranking(self) -> Strategy:
        return self._options.strategy or self._source.strategy()

    def _flow(self, plan: Plan, bundle: QueryBundle) -> Flow[Explained]:
        options = self._options
        return bundle_flow(plan, bundle, options.params, self._source.own_encoders, options.explanations)

    def _flows(self, plan: Plan, bundles: Sequence[QueryBundle]) -> Flow[list[Explained]]:
        return together([self._flow(plan, bundle) for bundle in bundles])

    def _nodes(self, found: Explained, collection: str) -> list[NodeWithScore]:
        return self._reader.read(found.points, self._source.text_key, collection, found.reasons)

    def __repr__(self) -> str:
        """The collection and the strategy; clients and models, which may hold secrets, aren't shown."""
        kind = type(self).__name__
        return (
            f"{kind}({self._source.place.collection!r}, strategy={self.strategy!r}, similarity_top_k={self.similarity_top_k})"
        )

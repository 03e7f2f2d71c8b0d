"""The retriever: LangChain's interface around the executors of `qdrant_rerank`, and what one call of it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import is_
from os import PathLike
from typing import Any, Final, Self, TypedDict, TypeVar, Unpack, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.utils import AnyConfigurableField
from pydantic import ConfigDict, Field, model_validator
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Nearest, Query, QueryError, SearchOptions, Strategy
from qdrant_rerank._internals import (
    SCHEMA_TTL,
    Executors,
    Explained,
    Flow,
    KeepsExecutors,
    QueryVector,
    Vectors,
    add_params,
    as_mapping,
    both,
    check_count,
    check_filter,
    check_flag,
    check_options,
    check_use,
    close_on_error,
    find_unknown,
    grpc_port_of,
    together,
)
from qdrant_rerank._internals import client_options as client_options_of
from qdrant_rerank.planning import Capabilities, Plan, PlanDescription

from . import fields
from .documents import to_documents
from .migration import translate
from .store import store_fields, store_strategy
from .tracing import AsyncTraced, Configs, Parents, Traced, atrace, trace

__all__ = ["CallOptions", "QdrantRerankRetriever"]

Function = TypeVar("Function", bound=Callable[..., Any])
E = TypeVar("E", Executor, AsyncExecutor)

_SETTINGS: Final = (
    *("async_client", "reranker", "payload", "capabilities", "fixed_filter", "schema_ttl", "retries", "coalesce"),
)
"""The fields that executors take as they are."""


class CallOptions(TypedDict, total=False):
    """What `invoke`, `ainvoke`, `search_batch`, … take as keywords; None means the retriever's own setting.

    Attributes:
        k: how many documents to return (how many groups, with `group_by`).
        filter: a `qdrant_client.models.Filter`, AND-ed with the retriever's own.
        score_threshold: the score to reach (for Euclid and Manhattan: the distance not to exceed).
        offset: how many of the best documents to skip.
        timeout: seconds for the whole call; see `QdrantRerankRetriever`.
        options: what few calls need, in the place of the retriever's own; `dataclasses.replace(retriever.options, …)`
            changes one of them.
        params: request-time values by name, for `param(name)` in formulas; they are added to the retriever's.
        vectors: the query's vectors, if you have them, by vector name; or one vector, if it is
            clear which it is. Queries of a batch bring their own.
        strategy: instead of the retriever's own.
        explanations: whether each document says why it is where it is; see `QdrantRerankRetriever`.
        verbose: accepted because LangChain passes it on; it changes nothing.
    """

    k: int | None
    filter: models.Filter | None
    score_threshold: float | None
    offset: int | None
    timeout: float | None
    options: SearchOptions | None
    params: Mapping[str, Any] | None
    vectors: Vectors | QueryVector | None
    strategy: Strategy | None
    explanations: bool | None
    verbose: bool | None


def _show_call_options(method: Function) -> Function:
    """Show `**options: Unpack[CallOptions]` as the keyword-only parameters that it means: in `help()` and to LangChain."""
    signature = inspect.signature(method)
    named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=getattr(hint, "__forward_arg__", hint))
        for name, hint in CallOptions.__annotations__.items()
    ]
    method.__signature__ = signature.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
    return method


@dataclass(frozen=True)
class _Call:
    """One call, with everything that the retriever's settings and the call's options decide."""

    strategy: Strategy
    options: SearchOptions
    params: Mapping[str, Any]
    vectors: Vectors | QueryVector | None
    explanations: bool

    def query(self, plan: Plan, asked: str | Query) -> Query:
        """The query for one text. A `Query` keeps what it brings; the call's vectors and params fill in.

        Raises:
            QueryError: it is neither; or the call has one vector, and the strategy compares several.
        """
        vectors: Vectors = {}
        if isinstance(self.vectors, Mapping):
            vectors = self.vectors
        elif self.vectors is not None:
            vectors = {_implied_name(plan): self.vectors}
        if isinstance(asked, Query):
            return replace(
                asked, vectors={**vectors, **asked.vectors}, params=add_params(self.params, asked.params, self.strategy)
            )
        if isinstance(asked, str):
            return Query(asked, vectors, self.params)
        raise QueryError(f"a query must be a text, got {type(asked).__name__} {asked!r}"[:500])

    def flow(self, plan: Plan, asked: str | Query) -> Flow[Explained]:
        """The steps to one query's points; see `query` and `Plan.answer`."""
        return plan.answer(self.query(plan, asked), self.explanations)

    def flows(self, plan: Plan, asked: Sequence[str | Query]) -> Flow[list[Explained]]:
        """The steps to the points of each query, as `flow` makes them, in as many round trips as one query takes."""
        return together([self.flow(plan, each) for each in asked])


def _implied_name(plan: Plan) -> str:
    """The name of the vector that is meant where only one can be: the strategy's only one, or its only dense one."""
    needs = sorted(plan.strategy.needs())
    dense = [name for name in needs if plan.target.schema.vectors[name].kind == "dense"]
    for names in (needs, dense):
        if len(names) == 1:
            return names[0]
    listed = ", ".join(map(repr, needs)) or "none"
    raise QueryError(f"which vector is this? The strategy compares {listed}: pass vectors={{name: vector}}")


def _with_scores(documents: Sequence[Document], found: Explained) -> list[tuple[Document, float]]:
    """Each document with the score of its point; of one in several groups, at its best rank."""
    scores = {str(point.id): float(point.score) for point in reversed(found.points)}
    return [(document, scores[str(document.id)]) for document in documents]


def _check_batch(queries: Any, options: CallOptions) -> list[str | Query]:
    """The queries of a batch.

    Raises:
        TypeError: a single query.
        QueryError: vectors, which would be the same for all.
    """
    if isinstance(queries, str | Query):
        raise TypeError("search_batch takes a list of queries; for a single one call invoke")
    if options.get("vectors") is not None:
        raise QueryError("vectors would be the same for every query: pass queries=[Query(text, vectors={name: vector}), …]")
    return list(queries)


class QdrantRerankRetriever(BaseRetriever, KeepsExecutors):
    """Answers a query with documents from Qdrant, ranked by a strategy that Qdrant runs in one request, or by a reranker.

    `invoke`, `ainvoke`, `batch`, `stream`, … work as for every LangChain retriever, and take the keywords of
    `CallOptions`; async calls are async down to the socket. Documents carry the point's id, and in their metadata
    `_id` and `_collection_name`, so that the same document of two queries is equal. `search_with_scores` brings scores as
    well. The constructor makes no request.

    Attributes:
        client: a `QdrantClient`, of a server or in local mode, or a `qdrant_rerank.edge.EdgeClient`.
        async_client: an `AsyncQdrantClient`, or a function that makes one for each event loop. Without it, async
            calls make their own from `client`.
        collection_name: the collection to search.
        embedding: embeds the query for any dense vector.
        sparse_embedding: embeds the query for any sparse vector, as langchain-qdrant's `SparseEmbeddings` do.
        encoders: what embeds the query for the vector of that name, before the two above: a LangChain `Embeddings`,
            a `SparseEmbeddings`, a `qdrant_rerank.Encoder` such as `ServerInference`, or a function; or a
            `qdrant_rerank.Encoders`, as an executor takes it.
        reranker: scores texts, for a strategy that has them read, such as `Rerank`: a reranker, a function
            from a query and texts to scores (higher is better), or any LangChain `BaseDocumentCompressor` that reranks. It
            reads the text that `payload` says. What it runs in LangChain is a child of the retriever's run.
        strategy: how documents are found and ranked.
        k: how many documents to return.
        fixed_filter: only documents that meet it, in all that is searched: the place for a tenant. No option of a call, no
            `bind` and no `configurable_fields` can leave it out or replace it.
        filter: only documents that meet it; a call's filter is AND-ed with it. `bind(filter=…)` twice keeps the last one
            only, as LangChain has it for every option.
        score_threshold: the score to reach (for Euclid and Manhattan: the distance not to exceed).
        timeout: seconds for a whole call, e.g. 0.5: embedding, reading the schema, all searches, reranking; a call that takes
            longer ends in a `qdrant_rerank.errors.TimeoutError`, also a `TimeoutError`, that says in which step.
        options: what few need, as `qdrant_rerank.SearchOptions`: `search_params`, `shard_key_selector`, `consistency`,
            `group_by` and `group_size` (a document in several groups comes once), `stable_ties`, and `with_payload`, in which
            the text's key must be (with False, documents have no text).
        params: request-time values by name, for `param(name)` in formulas.
        payload: where the text and the metadata are: "langchain", "llama_index", "flat", a `PayloadMapping`, or a
            function from payload to `(text, metadata)`.
        score_key: the metadata key for the score, e.g. "score", higher being better: for Euclid and Manhattan it is minus the
            distance. None for no score. Documents' own metadata under it is kept, and the score then goes under `_score`, with
            a warning. With a key, what reranking notes (`relevance_score`, `retrieval_score`, `not_reranked`) goes under those
            names; without, only that a reranker failed. Scores in metadata make the same document of two queries differ, so
            that MultiQueryRetriever shows it twice.
        explanations: whether each document's metadata says why it is where it is, without a further round trip: its
            rank and score in each candidate and what each term adds to its score, as plain values (`ResultReason.as_dict`).
            LangChain has no metadata that is kept from models, but what shows documents to them, such as
            `create_retriever_tool` and stuff chains, shows `page_content` alone unless a `document_prompt` asks for more.
        explanation_key: the metadata key for it.
        capabilities: what the server can do; asked of it if None.
        schema_ttl: seconds after which the collection's schema is read again at the next query, as an alias may have moved;
            None for never. It is read again in any case when an answer contradicts it, and before a strategy is refused.
        retries: how often a request is made again, at most, after what may pass: a server that is away, overloaded or asks to
            wait (see `qdrant_rerank.Retries`), within the call's timeout. By default no request is repeated.
        coalesce: whether concurrent searches, of one event loop or of threads, leave in one batch while others are under way,
            on a server.
        executors: what is kept between calls, and handed on to copies.

    Raises:
        pydantic.ValidationError: an argument is unknown or can't be; the message has no argument's secret in it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    client: fields.ClientField = Field(default=None, exclude=True)
    async_client: fields.AsyncClientField = Field(default=None, exclude=True)
    collection_name: str = Field(min_length=1)
    embedding: fields.EmbeddingsField = Field(default=None, exclude=True)
    sparse_embedding: fields.SparseEmbeddingsField = Field(default=None, exclude=True)
    encoders: fields.EncodersField = Field(default_factory=dict, exclude=True)
    reranker: fields.RerankerField = Field(default=None, exclude=True)
    strategy: fields.StrategyField = Nearest()
    k: fields.KField = 4
    fixed_filter: fields.FilterField = None
    filter: fields.FilterField = None
    score_threshold: float | None = None
    timeout: fields.TimeoutField = None
    options: fields.OptionsField = SearchOptions()
    params: fields.ParamsField = Field(default_factory=dict)
    payload: fields.PayloadField = "langchain"
    score_key: fields.ScoreKeyField = None
    explanations: bool = False
    explanation_key: fields.ExplanationKeyField = "_explanation"
    capabilities: Capabilities | None = None
    schema_ttl: fields.SchemaTtlField = SCHEMA_TTL
    retries: fields.RetriesField = 0
    coalesce: bool = True
    executors: Executors = Field(default_factory=Executors, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _fields_exist(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            fields.refuse_unknown(values, cls.model_fields)
        return values

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.client is None and self.async_client is None:
            raise ValueError("a Qdrant client is needed: pass client=QdrantClient(…), or async_client=AsyncQdrantClient(…)")
        check_use(self.reranker, self.strategy)
        return self

    @classmethod
    def from_vector_store(cls, store: Any, **settings: Any) -> Self:
        """A retriever over what a `langchain_qdrant.QdrantVectorStore` holds.

        Args:
            store: its client, collection, embeddings, vector names and payload keys are taken over.
            **settings: fields of the retriever, before the store's. Without a strategy, what the store's
                `retrieval_mode` does; hybrid with 100 candidates of each vector instead of `k`.

        Raises:
            TypeError: the store is no `QdrantVectorStore`.
        """
        found = store_fields(store)
        tags = [*(settings.pop("tags", None) or []), *found.pop("tags")]
        if "strategy" not in settings:
            found["strategy"] = store_strategy(store)
        arguments: dict[str, Any] = {**found, **settings, "tags": tags}
        return cls(**arguments)

    @classmethod
    def from_existing_collection(
        cls,
        collection_name: str,
        *,
        url: str | None = None,
        path: str | None = None,
        api_key: str | None = None,
        prefer_grpc: bool = False,
        grpc_port: int | None = None,
        client_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Self:
        """A retriever over a collection, with a client made for it, that `retriever.close()` closes. No request.

        Args:
            collection_name: the collection to search.
            url, path, api_key, prefer_grpc: as `QdrantClient` takes them; with none of them, a server on this machine. Over
                gRPC the bare client made 1.7 to 2.1 times the searches of REST, and this retriever 1.0 to 1.3 times
                (docs/benchmarks.md).
            grpc_port: the port for gRPC; needed with `prefer_grpc` unless REST is at 6333, beside which gRPC has 6334.
            client_options: further arguments of `QdrantClient`, e.g. `{"host": "…", "cloud_inference": True}`.
            **settings: fields of the retriever.

        Raises:
            ClientError: `prefer_grpc` for a server whose REST port isn't 6333, without `grpc_port`.
        """
        options: dict[str, Any] = dict(url=url, path=path, api_key=api_key, prefer_grpc=prefer_grpc, **(client_options or {}))
        if grpc_port is not None:
            options = dict(grpc_port=grpc_port, **options)
        elif prefer_grpc and path is None and options.get("location") != ":memory:":
            server = options["url"] or options.get("location") or options.get("host")
            options = {"grpc_port": grpc_port_of(server, options.get("port"), options.get("grpc_port")), **options}
        return cls._make_owner(QdrantClient(**client_options_of(options)), collection_name, settings)

    @classmethod
    def from_edge(cls, path: str | PathLike[str], collection_name: str, **settings: Any) -> Self:
        """A retriever over a collection in a folder, which Qdrant's Rust engine searches in this process. No request.

        The folder's collection has one owner: while this retriever's client has it open, another client, in this process
        or another, can't. `retriever.close()` closes it; retrievers over the same folder share one client:
        `QdrantRerankRetriever(client=retriever.client, collection_name="other")`. Async calls run in a worker thread, and
        keep the event loop waiting for one query of the engine at most.

        Args:
            path: the folder of collections, as `EdgeClient` takes it; `path/collection_name` is this one. Where a folder is
                itself one collection: `client=EdgeClient(path, collection=collection_name)` instead.
            collection_name: the collection to search.
            **settings: fields of the retriever.

        Raises:
            MissingExtra: qdrant-edge isn't installed.
            ClientError: the path is a file, or a folder that qdrant-client's local mode wrote.
        """
        from qdrant_rerank.edge import EdgeClient

        return cls._make_owner(EdgeClient(path), collection_name, settings)

    @classmethod
    def _make_owner(cls, client: QdrantClient, collection_name: str, settings: Mapping[str, Any]) -> Self:
        with close_on_error(client):
            owner = {"executors": Executors().own(client)}
            arguments: dict[str, Any] = dict(client=client, collection_name=collection_name, **owner, **settings)  # none twice
            return cls(**arguments)

    def configurable_fields(self, **kwargs: AnyConfigurableField) -> RunnableSerializable[str, list[Document]]:
        """As for every runnable; `fixed_filter`, which a caller must not change, is refused.

        Raises:
            ValueError: `fixed_filter` is among the fields.
        """
        if "fixed_filter" in kwargs:
            raise ValueError(
                "fixed_filter can't be configurable: whoever passes the config could replace it, and see another tenant's "
                "documents; make a retriever for each tenant (`model_copy` shares connections), or use filter"
            )
        typed = {name: fields.publish(spec, self.strategy) if name == "strategy" else spec for name, spec in kwargs.items()}
        return super().configurable_fields(**typed)

    @_show_call_options
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Unpack[CallOptions]
    ) -> list[Document]:
        call, executor = self._begin(Executor, options)
        services = None if self.reranker is None else Traced(executor, Parents([query], [run_manager.get_child]))
        return self._documents(
            call, executor.answer(call.strategy, call.options, lambda plan: call.flow(plan, query), services)
        )

    @_show_call_options
    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Unpack[CallOptions]
    ) -> list[Document]:
        call, executor = self._begin(AsyncExecutor, options)
        services = None if self.reranker is None else AsyncTraced(executor, Parents([query], [run_manager.get_child]))
        return self._documents(
            call, await executor.answer(call.strategy, call.options, lambda plan: call.flow(plan, query), services)
        )

    @_show_call_options
    def search_with_scores(
        self, query: str | Query, config: RunnableConfig | None = None, **options: Unpack[CallOptions]
    ) -> list[tuple[Document, float]]:
        """The documents for a query, each with its score: Qdrant's, the formula's or the reranker's.

        Args:
            query: a text, or a `qdrant_rerank.Query`.
            config: LangChain's config; the query is a run in traces, as with `invoke`.
            **options: as for `invoke`; see `CallOptions`.

        Returns:
            Up to `k` documents, best first. The scale is the strategy's: cosine or dot product, a fusion's ranks, a formula's
            value, a model's score; for Euclid and Manhattan it is minus the distance, and under MMR scores need not fall.

        Raises:
            StrategyError, PlanError, QueryError, ScoringError, TimeoutError: as `invoke`.
        """
        with trace(self, [query], config, self._get_ls_params(**options)) as runs:
            call, executor = self._begin(Executor, options)
            services = Traced(executor, runs.parents)
            found = executor.answer(call.strategy, call.options, lambda plan: call.flow(plan, query), services)
            runs.answers.append(documents := self._documents(call, found))
        return _with_scores(documents, found)

    @_show_call_options
    async def asearch_with_scores(
        self, query: str | Query, config: RunnableConfig | None = None, **options: Unpack[CallOptions]
    ) -> list[tuple[Document, float]]:
        """As `search_with_scores`, without blocking the event loop."""
        async with atrace(self, [query], config, self._get_ls_params(**options)) as runs:
            call, executor = self._begin(AsyncExecutor, options)
            services = AsyncTraced(executor, runs.parents)
            found = await executor.answer(call.strategy, call.options, lambda plan: call.flow(plan, query), services)
            runs.answers.append(documents := self._documents(call, found))
        return _with_scores(documents, found)

    @_show_call_options
    def search_batch(
        self, queries: Sequence[str | Query], config: Configs = None, **options: Unpack[CallOptions]
    ) -> list[list[Document]]:
        """The documents for each query, with one request for all (`batch` makes one for each, in threads).

        Args:
            queries: texts, or `qdrant_rerank.Query` where each brings vectors or params of its own.
            config: one LangChain config for all, or one for each; each query is a run in traces.
            **options: as for `invoke`; see `CallOptions`.
        """
        asked = _check_batch(queries, options)
        with trace(self, asked, config, self._get_ls_params(**options)) as runs:
            call, executor = self._begin(Executor, options)
            if asked:
                services = Traced(executor, runs.parents)
                found = executor.answer(call.strategy, call.options, lambda plan: call.flows(plan, asked), services)
                runs.answers.extend(self._documents(call, each) for each in found)
        return runs.answers

    @_show_call_options
    async def asearch_batch(
        self, queries: Sequence[str | Query], config: Configs = None, **options: Unpack[CallOptions]
    ) -> list[list[Document]]:
        """As `search_batch`, without blocking the event loop."""
        asked = _check_batch(queries, options)
        async with atrace(self, asked, config, self._get_ls_params(**options)) as runs:
            call, executor = self._begin(AsyncExecutor, options)
            if asked:
                services = AsyncTraced(executor, runs.parents)
                found = await executor.answer(call.strategy, call.options, lambda plan: call.flows(plan, asked), services)
                runs.answers.extend(self._documents(call, each) for each in found)
        return runs.answers

    @_show_call_options
    def describe(self, **options: Unpack[CallOptions]) -> PlanDescription:
        """What a call with these options asks of Qdrant, what it costs, and which servers would refuse it; `print` it.

        Unless the options have the query's vectors, vectors and request-time values in the request are stand-ins. A sample of
        points tells keys that none has, and values of another type than is read.
        """
        call = self._call(options)
        plan = self._executor(Executor).answer(call.strategy, call.options, lambda plan: plan.check_keys())
        return plan.describe() if call.vectors is None else plan.describe(call.query(plan, ""))

    @property
    def _executors(self) -> Executors:
        return self.executors

    @property
    def _memory(self) -> dict[object, Any]:
        """What was made of the fields, by what it is; empty once a field is another object.

        Most calls have no options, so that everything is as it was for the call before: making it again would
        take longer than all else that an adapter adds to a query.
        """
        encoders = self.encoders
        own = encoders.values() if isinstance(encoders, Mapping) else (*encoders.named.values(), *encoders.by_kind.values())
        settings = vars(self).copy()
        del settings["executors"]  # which would hold itself, and be let go of late
        parts, known = (*settings.values(), *own), self.executors.latest
        if len(known[0]) != len(parts) or not all(map(is_, known[0], parts)):
            known = self.executors.latest = parts, {}
        return known[1]

    def _begin(self, kind: type[E], given: CallOptions) -> tuple[_Call, E]:
        """What a call asks for, and what runs it; as of the call before if neither options nor fields have changed.

        Raises:
            TypeError, QueryError: as `_call`.
            ClientError: the retriever is closed.
        """
        made = self._memory
        if given or (call := made.get(_Call)) is None:
            call = self._call(given)
            if not given:
                made[_Call] = call
        if (executor := made.get(kind)) is None or self.executors.closed:
            executor = made[kind] = self._executor(kind)
        return call, executor

    def _call(self, given: CallOptions) -> _Call:
        """The call that these options make of this retriever.

        Raises:
            TypeError: an option that isn't there.
            QueryError: a value that can't be.
        """
        if unknown := find_unknown(given, known := CallOptions.__annotations__, fields.OWN):
            if instead := translate(given):
                raise TypeError(instead)
            raise TypeError(f"a call has no option {unknown[0]!r}; it takes {', '.join(known)}{unknown[1]}")

        def value(name: str) -> Any:
            own = given.get(name)
            return getattr(self, name) if own is None else own

        check_count("k", value("k"))
        check_filter(given.get("filter"))
        check_flag("explanations", value("explanations"))
        if (own_options := given.get("options")) is not None:
            check_options(own_options, fields.OWN)
        options = replace(
            value("options"),
            limit=value("k"),
            filter=both(self.filter, given.get("filter")),
            score_threshold=value("score_threshold"),
            offset=given.get("offset"),
            timeout=value("timeout"),
        )
        strategy, own_params = value("strategy"), given.get("params")
        params = self.params if own_params is None else add_params(self.params, own_params, strategy)
        return _Call(strategy, options, params, given.get("vectors"), value("explanations"))

    def _executor(self, kind: type[E]) -> E:
        parts: list[object] = [self.client, self.collection_name, self.embedding, self.sparse_embedding, self.encoders]
        return self.executors.get(kind, [*parts, *self._settings().values()], self._make_executor)

    def _make_executor(self, kind: type[E]) -> E:
        encoders = fields.make_encoders(self.embedding, self.sparse_embedding, self.encoders)
        return kind(self.client, self.collection_name, encoders=encoders, **self._settings())

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}

    def _documents(self, call: _Call, found: Explained) -> list[Document]:
        return to_documents(
            found.points,
            reasons=found.reasons,
            explanation_key=self.explanation_key,
            collection=self.collection_name,
            mapping=as_mapping(self.payload),
            score_key=self.score_key,
            with_payload=call.options.with_payload,
        )

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        """What traces say of a call. LangChain asks for it in every call, whoever listens."""
        if kwargs:
            return self._describe_for_traces(kwargs)
        made = self._memory
        facts: LangSmithRetrieverParams | None = made.get(LangSmithRetrieverParams)
        if facts is None:
            facts = made[LangSmithRetrieverParams] = self._describe_for_traces(kwargs)
        return facts.copy()

    def _describe_for_traces(self, kwargs: dict[str, Any]) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "QdrantVectorStore"
        for embedder in (self.embedding, self.sparse_embedding, *fields.list_encoders(self.encoders).values()):
            if embedder is not None:
                params["ls_embedding_provider"] = type(embedder).__name__
                break
        facts: dict[str, Any] = {**params, **fields.describe_call(self, kwargs)}
        return cast("LangSmithRetrieverParams", facts)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Clients and models by their class: what they hold may be secret, and `dumps` and traces use the repr."""
        return fields.show(self)

"""The retriever: LangChain's interface around the executors of `qdrant_rerank`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypedDict, TypeVar, Unpack, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.runnables import RunnableSerializable
from langchain_core.runnables.utils import AnyConfigurableField
from pydantic import ConfigDict, Field, model_validator
from qdrant_client import models

from qdrant_rerank import AsyncExecutor, Executor, Nearest, Query, QueryError, SearchOptions, Strategy
from qdrant_rerank._internals import (
    SCHEMA_TTL,
    Explained,
    Flow,
    QueryVector,
    Vectors,
    as_mapping,
    both,
    did_you_mean,
    explained,
    not_a_filter,
    together,
)
from qdrant_rerank.planning import Capabilities, Plan, PlanDescription

from . import fields
from .documents import to_documents
from .executors import Executors, Parts
from .fields import listed
from .store import Making
from .tracing import AsyncTraced, Configs, Parents, Traced, atraced, traced

__all__ = ["Call", "CallOptions", "QdrantRerankRetriever", "checked_batch", "takes_call_options"]

Function = TypeVar("Function", bound=Callable[..., Any])


class CallOptions(TypedDict, total=False):
    """What `invoke`, `ainvoke`, `search_batch`, … take as keywords; None means the retriever's own setting.

    Attributes:
        k: how many documents to return (how many groups, with `group_by`).
        filter: a `qdrant_client.models.Filter`, AND-ed with the retriever's own.
        score_threshold: the score to reach (for Euclid and Manhattan: not to exceed).
        offset: how many of the best documents to skip.
        search_params: HNSW and quantisation parameters of the final stage.
        shard_key_selector: custom shards to search.
        consistency: read consistency across replicas.
        timeout: seconds for the whole call; see `QdrantRerankRetriever`.
        group_by: a payload key; at most `group_size` documents for each of its values, for `k` values.
        group_size: see `group_by`.
        params: request-time values by name, for `param(name)` in formulas.
        vectors: the query's vectors, if you have them, by vector name; or one vector, if it is
            clear which it is. Queries of a batch bring their own.
        strategy: instead of the retriever's own.
        explanations: whether each document says why it is where it is; see `QdrantRerankRetriever`.
        stable_ties: whether documents of equal score come in the order of their ids, call for call.
        verbose: accepted because LangChain passes it on; it changes nothing.
    """

    k: int | None
    filter: models.Filter | None
    score_threshold: float | None
    offset: int | None
    search_params: models.SearchParams | None
    shard_key_selector: models.ShardKeySelector | None
    consistency: models.ReadConsistency | None
    timeout: float | None
    group_by: str | None
    group_size: int | None
    params: Mapping[str, Any] | None
    vectors: Vectors | QueryVector | None
    strategy: Strategy | None
    explanations: bool | None
    stable_ties: bool | None
    verbose: bool | None


def takes_call_options(method: Function) -> Function:
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
class Call:
    """One call, with everything that the retriever's settings and the call's options decide."""

    strategy: Strategy
    options: SearchOptions
    params: Mapping[str, Any]
    vectors: Vectors | QueryVector | None
    explanations: bool = False

    @classmethod
    def of(cls, retriever: QdrantRerankRetriever, options: CallOptions) -> Call:
        """The call that these options make of this retriever.

        Raises:
            TypeError: an option that isn't there.
            QueryError: a value that can't be.
        """
        _refuse_unknown(options)

        def value(name: str) -> Any:
            given = options.get(name)
            return getattr(retriever, name) if given is None else given

        fields.check_k(k := value("k"))
        if (own := options.get("filter")) is not None and not isinstance(own, models.Filter):
            raise QueryError(not_a_filter(own))
        if options.get("group_size") is not None and value("group_by") is None:
            raise QueryError("group_size has no effect without group_by: pass the payload key to group by as well")
        for name in ("explanations", "stable_ties"):
            if not isinstance(value(name), bool):
                raise QueryError(f"{name} must be True or False, got {value(name)!r}")
        search_options = SearchOptions(
            limit=k,
            filter=both(retriever.filter, own),
            score_threshold=value("score_threshold"),
            offset=options.get("offset"),
            search_params=value("search_params"),
            shard_key_selector=value("shard_key_selector"),
            consistency=value("consistency"),
            timeout=value("timeout"),
            with_payload=retriever.with_payload,
            group_by=value("group_by"),
            group_size=value("group_size"),
            stable_ties=value("stable_ties"),
        )
        return cls(
            value("strategy"), search_options, options.get("params") or {}, options.get("vectors"), bool(value("explanations"))
        )

    @property
    def needs_a_name(self) -> bool:
        """Whether the call brings a vector without saying which it is."""
        return self.vectors is not None and not isinstance(self.vectors, Mapping)

    def named(self, plan: Plan) -> Call:
        """This call, its vector named by what the strategy compares.

        Raises:
            QueryError: the strategy compares several.
        """
        return replace(self, vectors={_implied_name(plan): cast("QueryVector", self.vectors)})

    def query(self, asked: str | Query) -> Query:
        """The query for one text. A `Query` keeps what it brings; the call's vectors and features fill in.

        Raises:
            QueryError: it is neither.
        """
        vectors = cast("Vectors", self.vectors or {})
        if isinstance(asked, Query):
            return replace(asked, vectors={**vectors, **asked.vectors}, params={**self.params, **asked.params})
        if isinstance(asked, str):
            return Query(asked, vectors, self.params)
        raise QueryError(f"a query must be a text, got {type(asked).__name__} {asked!r}"[:500])

    def flow(self, plan: Plan, asked: str | Query) -> Flow[Explained]:
        """The steps to one query's points; their reasons are there if the call asks for explanations.

        Raises:
            QueryError: see `query`.
            StrategyError: results of this strategy, or of groups, can't be explained.
        """
        query = (self.named(plan) if self.needs_a_name else self).query(asked)
        if self.explanations:
            return (yield from explained(plan, query))
        return Explained((yield from plan.flow(query)), ())

    def flows(self, plan: Plan, asked: Sequence[str | Query]) -> Flow[list[Explained]]:
        """The steps to the points of each query, as `flow` makes them, in as many round trips as one query takes."""
        return together([self.flow(plan, each) for each in asked])


def checked_batch(queries: Any, options: CallOptions) -> list[str | Query]:
    """The queries of a batch.

    Raises:
        TypeError: a single query.
        QueryError: vectors, which would be the same for all.
    """
    if isinstance(queries, str | Query):
        raise TypeError("search_batch takes a list of queries; for a single one call invoke")
    listed: list[str | Query] = list(queries)
    if options.get("vectors") is not None:
        raise QueryError("vectors would be the same for every query: pass queries=[Query(text, vectors={name: vector}), …]")
    return listed


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    known = CallOptions.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"a call has no option {name!r}; it takes {', '.join(known)}{did_you_mean(name, known)}")


def _implied_name(plan: Plan) -> str:
    """The name of the vector that is meant where only one can be: the strategy's only one, or its only dense one."""
    needs = sorted(plan.strategy.needs())
    dense = [name for name in needs if plan.target.schema.vectors[name].kind == "dense"]
    for names in (needs, dense):
        if len(names) == 1:
            return names[0]
    listed = ", ".join(map(repr, needs)) or "none"
    raise QueryError(f"which vector is this? The strategy compares {listed}: pass vectors={{name: vector}}")


class QdrantRerankRetriever(Making):
    """Answers a query with documents from Qdrant, ranked by a strategy that Qdrant runs in one request, or by a model.

    `invoke`, `ainvoke`, `batch`, `stream`, … work as for every LangChain retriever, and take the keywords of
    `CallOptions`; async calls are async down to the socket. Documents carry the point's id, and in their metadata
    `_id`, `_collection_name` and the score. The constructor makes no request.

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
        model: scores texts, for strategies that have a model read them, such as `Rerank`: a reranker, a function
            from a query and texts to scores (higher is better), or any LangChain `BaseDocumentCompressor` that reranks. It
            reads the text that `payload` says. What it runs in LangChain is a child of the retriever's run.
        strategy: how documents are found and ranked.
        k: how many documents to return.
        fixed_filter: only documents that meet it, in all that is searched: the place for a tenant. No option of a call, no
            `bind` and no `configurable_fields` can leave it out or replace it.
        filter: only documents that meet it; a call's filter is AND-ed with it. `bind(filter=…)` twice keeps the last one
            only, as LangChain has it for every option.
        score_threshold: the score to reach (for Euclid and Manhattan: not to exceed).
        search_params: HNSW and quantisation parameters of the final stage.
        shard_key_selector: custom shards to search.
        consistency: read consistency across replicas.
        timeout: seconds for a whole call, e.g. 0.5: embedding, reading the schema, all searches, reranking; a call that takes
            longer ends in a `qdrant_rerank.errors.TimeoutError`, also a `TimeoutError`, that says in which step.
        group_by: a payload key; at most `group_size` documents for each of its values, for `k` values. A document
            in several groups comes once.
        group_size: see `group_by`.
        payload: where the text and the metadata are: "langchain", "llama_index", "flat", a `PayloadMapping`, or a
            function from payload to `(text, metadata)`.
        stable_ties: whether documents of equal score come in the order of their ids, call for call; their order is random
            otherwise. Fetches 32 points more.
        with_payload: which payload to fetch; the text's key must be in it. With False, documents have no text.
        score_key: the metadata key for the score; None for no score. Documents' own metadata under it is kept, and
            the score then goes under `_score`, with a warning. What a model's ranking notes (`relevance_score`,
            `retrieval_score`, `not_rescored`) goes under those names.
        explanations: whether each document's metadata says why it is where it is, without a further round trip: its
            rank and score in each candidate and what each term adds to its score, as plain values (`ResultReason.as_dict`).
            LangChain has no metadata that is kept from models, but what shows documents to them, such as
            `create_retriever_tool` and stuff chains, shows `page_content` alone unless a `document_prompt` asks for more.
        explanation_key: the metadata key for it.
        capabilities: what the server can do; asked of it if None.
        schema_ttl: seconds after which the collection's schema is read again at the next query, as an alias may have moved;
            None for never. It is read again in any case when an answer contradicts it, and before a strategy is refused.
        retries: how often a request is made again, at most, after what may pass: a server that is away, overloaded or asks to
            wait (see `qdrant_rerank.Retries`), within the call's timeout. None is made again unless told so.
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
    reranker: fields.ModelField = Field(default=None, exclude=True)
    strategy: fields.StrategyField = Nearest()
    k: fields.KField = 4
    fixed_filter: fields.FilterField = None
    filter: fields.FilterField = None
    score_threshold: float | None = None
    search_params: models.SearchParams | None = None
    shard_key_selector: models.ShardKeySelector | None = None
    consistency: models.ReadConsistency | None = None
    timeout: fields.TimeoutField = None
    group_by: str | None = None
    group_size: int = Field(default=1, ge=1)
    payload: fields.PayloadField = "langchain"
    stable_ties: bool = False
    with_payload: models.WithPayloadInterface = True
    score_key: fields.ScoreKeyField = "score"
    explanations: bool = False
    explanation_key: fields.ExplanationKeyField = "_explanation"
    capabilities: Capabilities | None = None
    schema_ttl: fields.SchemaTtlField = SCHEMA_TTL
    retries: fields.RetriesField = 0
    executors: Executors = Field(default_factory=Executors, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _fields_exist(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            fields.refuse_unknown(values, cls.model_fields)
        return values

    @model_validator(mode="after")
    def _a_client_exists(self) -> Self:
        if self.client is None and self.async_client is None:
            raise ValueError("a Qdrant client is needed: pass client=QdrantClient(…), or async_client=AsyncQdrantClient(…)")
        return self

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
        return super().configurable_fields(**kwargs)

    @takes_call_options
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Unpack[CallOptions]
    ) -> list[Document]:
        call, executor = Call.of(self, options), self._executor()
        services = Traced(executor, Parents([query], [run_manager.get_child]))
        return self._documents(executor.answer(call.strategy, call.options, lambda plan: call.flow(plan, query), services))

    @takes_call_options
    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Unpack[CallOptions]
    ) -> list[Document]:
        call, executor = Call.of(self, options), self._async_executor()
        services = AsyncTraced(executor, Parents([query], [run_manager.get_child]))
        return self._documents(
            await executor.answer(call.strategy, call.options, lambda plan: call.flow(plan, query), services)
        )

    @takes_call_options
    def search_batch(
        self, queries: Sequence[str | Query], config: Configs = None, **options: Unpack[CallOptions]
    ) -> list[list[Document]]:
        """The documents for each query, with one request for all (`batch` makes one for each, in threads).

        Args:
            queries: texts, or `qdrant_rerank.Query` where each brings vectors or features of its own.
            config: one LangChain config for all, or one for each; each query is a run in traces.
            **options: as for `invoke`; see `CallOptions`.
        """
        asked = checked_batch(queries, options)
        with traced(self, asked, config, self._get_ls_params()) as runs:
            call, executor = Call.of(self, options), self._executor()
            if asked:
                services = Traced(executor, runs.parents)
                found = executor.answer(call.strategy, call.options, lambda plan: call.flows(plan, asked), services)
                runs.answers.extend(map(self._documents, found))
        return runs.answers

    @takes_call_options
    async def asearch_batch(
        self, queries: Sequence[str | Query], config: Configs = None, **options: Unpack[CallOptions]
    ) -> list[list[Document]]:
        """As `search_batch`, without blocking the event loop."""
        asked = checked_batch(queries, options)
        async with atraced(self, asked, config, self._get_ls_params()) as runs:
            call, executor = Call.of(self, options), self._async_executor()
            if asked:
                services = AsyncTraced(executor, runs.parents)
                found = await executor.answer(call.strategy, call.options, lambda plan: call.flows(plan, asked), services)
                runs.answers.extend(map(self._documents, found))
        return runs.answers

    @takes_call_options
    def explain(self, **options: Unpack[CallOptions]) -> PlanDescription:
        """What a call with these options asks of Qdrant, what it costs, and which servers would refuse it; `print` it.

        Unless the options have the query's vectors, vectors and request-time values in the request are stand-ins.
        """
        call = Call.of(self, options)
        plan = self._executor().plan(call.strategy, call.options)
        if call.vectors is None:
            return plan.describe()
        return plan.describe((call.named(plan) if call.needs_a_name else call).query(""))

    def refresh(self) -> None:
        """Forget what was read of the collection, e.g. after a payload index was made; the next query reads it again."""
        self.executors.refresh()

    def close(self) -> None:
        """Close the clients that this retriever made, and its threads, for all its copies; never a client that it was given.

        Calls after it end in a `ClientError`. Clients of event loops that run in other threads are closed by these.
        """
        self.executors.close()

    async def aclose(self) -> None:
        """As `close`, and the client of the running event loop is closed when this returns."""
        await self.executors.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _executor(self) -> Executor:
        return self.executors.get(Executor, Parts.of(self))

    def _async_executor(self) -> AsyncExecutor:
        return self.executors.get(AsyncExecutor, Parts.of(self))

    def _documents(self, found: Explained) -> list[Document]:
        return to_documents(
            found.points,
            reasons=found.reasons,
            explanation_key=self.explanation_key,
            collection=self.collection_name,
            mapping=as_mapping(self.payload),
            score_key=self.score_key,
            with_payload=self.with_payload,
        )

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "QdrantVectorStore"
        for embedder in (self.embedding, self.sparse_embedding, *listed(self.encoders).values()):
            if embedder is not None:
                params["ls_embedding_provider"] = type(embedder).__name__
                break
        return params

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Clients and models by their class: what they hold may be secret, and `dumps` and traces use the repr."""
        return fields.shown(self)

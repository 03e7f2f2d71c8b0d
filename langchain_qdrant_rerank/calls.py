"""What one call of the retriever asks for: its options, checked and joined with the retriever's own settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

from qdrant_client import models

from qdrant_rerank import Plan, Query, QueryError, SearchOptions, Strategy
from qdrant_rerank._internals import (
    Explained,
    Flow,
    QueryVector,
    Vectors,
    both,
    did_you_mean,
    explained,
    is_whole,
    not_a_filter,
    together,
)

if TYPE_CHECKING:
    from .retriever import QdrantRerankRetriever

__all__ = ["Call", "CallOptions", "check_k", "checked_batch", "takes_call_options"]

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

        check_k(k := value("k"))
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


def check_k(value: object) -> None:
    """Check how many documents are asked for.

    Raises:
        QueryError: not a whole number, or less than 1.
    """
    if not is_whole(value, 1):
        raise QueryError(f"k must be a whole number of at least 1, got {value!r}")


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

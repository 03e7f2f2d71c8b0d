"""What a retrieval asks for beside the query; a retriever holds one, and `with_options` makes another of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import PathLike
from typing import Any, Self, TypedDict

from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.vector_stores.types import MetadataFilters
from qdrant_client import models

from qdrant_rerank import QueryError, SearchOptions, Strategy, StrategyError
from qdrant_rerank._internals import did_you_mean, is_whole, not_a_filter, timeout_problem

from .filters import to_qdrant_filter
from .nodes import NodeReader, point_ids

__all__ = ["Options", "RetrievalOptions"]

_DOC_ID = "doc_id"


class RetrievalOptions(TypedDict, total=False):
    """What `with_options` and `retrieve_batch` take; the constructor takes the same.

    Restrictions (`filters`, `filter`, `node_ids`, `doc_ids`) are AND-ed with those that there are, features are added
    to them, anything else replaces what there is.

    Attributes:
        strategy: how nodes are found and ranked.
        similarity_top_k: how many nodes to return (groups, with `group_by`).
        filters: LlamaIndex's metadata filters.
        filter: a `qdrant_client.models.Filter`.
        node_ids: only these nodes; an empty list lets none through.
        doc_ids: only nodes of these documents; an empty list lets none through.
        score_threshold: the score to reach (for Euclid and Manhattan: not to exceed).
        search_params: HNSW and quantisation parameters of the final stage.
        shard_key_selector: custom shards to search.
        consistency: read consistency across replicas.
        timeout: seconds for the whole call; see `QdrantRerankRetriever`.
        group_by: a payload key; at most `group_size` nodes for each of its values, for `similarity_top_k` values.
        group_size: see `group_by`.
        features: request-time values by name, for `param(name)` in formulas.
        explanations: whether each node says why it is where it is; see `QdrantRerankRetriever`.
        stable_ties: whether nodes of equal score come in the order of their ids, call for call.
    """

    strategy: Strategy | None
    similarity_top_k: int
    filters: MetadataFilters | None
    filter: models.Filter | None
    node_ids: Sequence[str] | None
    doc_ids: Sequence[str] | None
    score_threshold: float | None
    search_params: models.SearchParams | None
    shard_key_selector: models.ShardKeySelector | None
    consistency: models.ReadConsistency | None
    timeout: float | None
    group_by: str | None
    group_size: int
    params: Mapping[str, Any] | None
    explanations: bool
    stable_ties: bool


@dataclass(frozen=True)
class Options:
    """The options of a retriever, checked, with all restrictions as Qdrant filters.

    Raises:
        QueryError: `similarity_top_k` isn't a whole number of at least 1, or `explanations` or `stable_ties` not a bool.
        StrategyError: the strategy isn't one.
    """

    strategy: Strategy | None = None
    similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K
    restrictions: tuple[models.Filter, ...] = ()
    score_threshold: float | None = None
    search_params: models.SearchParams | None = None
    shard_key_selector: models.ShardKeySelector | None = None
    consistency: models.ReadConsistency | None = None
    timeout: float | None = None
    group_by: str | None = None
    group_size: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    explanations: bool = False
    stable_ties: bool = False

    def __post_init__(self) -> None:
        if not is_whole(self.similarity_top_k, 1):
            raise QueryError(f"similarity_top_k must be a whole number of at least 1, got {self.similarity_top_k!r}")
        if self.timeout is not None and (problem := timeout_problem(self.timeout)):
            raise QueryError(problem)
        for name in ("explanations", "stable_ties"):
            if not isinstance(getattr(self, name), bool):
                raise QueryError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.strategy is not None and not isinstance(self.strategy, Strategy):
            in_file = isinstance(self.strategy, str | PathLike) and str(self.strategy).endswith(".json")
            hint = f"; for one that is in a file, pass load({str(self.strategy)!r})" if in_file else ""
            raise StrategyError(
                "strategy must be a strategy such as Nearest() or Formula(…).over(Nearest(limit=100)), got "
                f"{self.strategy!r}{hint}"
            )

    def changed(self, changes: RetrievalOptions, reader: NodeReader) -> Self:
        """These options with changes; see `RetrievalOptions`.

        Raises:
            TypeError: there is no such option.
            QueryError: a value can't be.
        """
        given: dict[str, Any] = dict(changes)
        for name in given:
            if name not in RetrievalOptions.__annotations__:
                known = sorted(RetrievalOptions.__annotations__)
                raise TypeError(f"there is no option {name!r}; there are {', '.join(known)}{did_you_mean(name, known)}")
        narrowed = _restrictions(changes, reader)
        kept = {each.name for each in fields(self)}
        replaced = {name: value for name, value in given.items() if name in kept}
        params = {**self.params, **(given.get("params") or {})}
        return replace(self, **{**replaced, "params": params, "restrictions": (*self.restrictions, *narrowed)})

    @cached_property
    def search_options(self) -> SearchOptions:
        """What Qdrant is asked for."""
        filters: list[models.Condition] = list(self.restrictions)
        return SearchOptions(
            limit=self.similarity_top_k,
            filter=models.Filter(must=filters) if len(filters) > 1 else next(iter(self.restrictions), None),
            score_threshold=self.score_threshold,
            search_params=self.search_params,
            shard_key_selector=self.shard_key_selector,
            consistency=self.consistency,
            timeout=self.timeout,
            group_by=self.group_by,
            group_size=self.group_size,
            stable_ties=self.stable_ties,
        )


def _restrictions(given: RetrievalOptions, reader: NodeReader) -> list[models.Filter]:
    """The restrictions among the options as filters."""
    found: list[models.Filter] = []
    if (metadata := given.get("filters")) is not None:
        translated = to_qdrant_filter(metadata, reader.prefix)
        if translated != models.Filter():
            found.append(translated)
    if (native := given.get("filter")) is not None:
        if not isinstance(native, models.Filter):
            raise QueryError(not_a_filter(native))
        found.append(native)
    if (node_ids := given.get("node_ids")) is not None:
        found.append(models.Filter(must=[models.HasIdCondition(has_id=list(point_ids(node_ids)))]))
    if (doc_ids := given.get("doc_ids")) is not None:
        found.append(_of_documents(doc_ids, reader))
    return found


def _of_documents(doc_ids: Sequence[str], reader: NodeReader) -> models.Filter:
    if not reader.is_llama_index:
        raise QueryError("doc_ids are kept by collections that LlamaIndex wrote; with another payload= use filters")
    if isinstance(doc_ids, str) or not all(isinstance(each, str) for each in doc_ids):
        raise QueryError(f"doc_ids must be a list of document ids, got {doc_ids!r}")
    return models.Filter(must=[models.FieldCondition(key=_DOC_ID, match=models.MatchAny(any=list(doc_ids)))])

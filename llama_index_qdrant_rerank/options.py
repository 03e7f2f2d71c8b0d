"""What a retrieval asks for beside the query; a retriever holds one, and `with_options` makes another of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Final, Self, TypedDict

from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.vector_stores.types import MetadataFilters
from qdrant_client import models

from qdrant_rerank import QueryError, SearchOptions, Strategy
from qdrant_rerank._internals import (
    add_params,
    check_count,
    check_filter,
    check_flag,
    check_options,
    check_strategy,
    find_unknown,
    is_finite,
    timeout_problem,
)

from .filters import to_qdrant_filter
from .nodes import NodeReader, point_ids

__all__ = ["Options", "RetrievalOptions", "refuse_unknown"]

_DEFAULT: Final = SearchOptions()
_DOC_ID: Final = "doc_id"
_OWN: Final = {
    "limit": "similarity_top_k=…",
    "filter": "filter=…",
    "score_threshold": "score_threshold=…",
    "timeout": "timeout=…",
}
"""The fields of `SearchOptions` for which there are arguments, and which."""


_THEIRS: Final = ("vector_store_query_mode", "alpha", "sparse_top_k", "hybrid_top_k", "vector_store_kwargs", "k")
_DENSE, _SPARSE = "text-dense", "text-sparse-new"  # LlamaIndex's own names
_NAMES: Final = "with the names of your collection's vectors, where they aren't LlamaIndex's own"
_RANKS: Final = "LlamaIndex adds up scaled scores, and RRF ranks, so that results differ"


def refuse_unknown(given: Mapping[str, object], known: Iterable[str]) -> None:
    """Refuse arguments that the constructor hasn't. Raises TypeError, which says what to pass instead."""
    if unknown := find_unknown(given, known, _OWN):
        raise TypeError(_translate(given) or f"the retriever has no argument {unknown[0]!r}{unknown[1]}")


def _translate(given: Mapping[str, Any]) -> str | None:
    """What to pass instead of the arguments of LlamaIndex's `VectorIndexRetriever` among these; None where there are none."""
    theirs = [name for name in _THEIRS if name in given]
    if not theirs:
        return None
    alpha: Any = given.get("alpha")
    mode = given.get("vector_store_query_mode", "default")
    mode, inside = str(getattr(mode, "value", mode)), given.get("vector_store_kwargs")
    arguments, notes = dict[str, str](), list[str]()
    if mode == "sparse":
        arguments["strategy"], notes = f"Nearest({_SPARSE!r})", [_NAMES]
    elif mode == "hybrid" or (mode == "default" and {"alpha", "sparse_top_k", "hybrid_top_k"} & given.keys()):
        is_weighed = is_finite(alpha) and 0 < alpha < 1 and alpha != 0.5
        weights = f"weights=[{2 * alpha:.10g}, {2 - 2 * alpha:.10g}]" if is_weighed else ""
        sparse = f"Nearest({_SPARSE!r}, limit={_show_number(given.get('sparse_top_k', 100))})"
        arguments["strategy"] = f"Fusion.rrf({weights}).over(Nearest({_DENSE!r}, limit=100), {sparse})"
        notes = [_RANKS, _NAMES]
    elif mode != "default":
        notes = [f"the mode {mode!r} has no counterpart here"]
    for name in ("k", "hybrid_top_k"):
        if name in given:
            arguments["similarity_top_k"] = _show_number(given[name])
    if isinstance(inside, Mapping):
        arguments |= {"filter": "…"} if "qdrant_filters" in inside else {}
        notes += [f"{name} has no counterpart here" for name in inside if name != "qdrant_filters"]
    instead = (
        f"pass {', '.join(f'{name}={value}' for name, value in arguments.items())} instead" if arguments else "leave it out"
    )
    why = f" ({'; '.join(notes)})" if notes else ""
    listed = " and ".join(theirs)
    return f"{listed} {'is' if len(theirs) == 1 else 'are'} of LlamaIndex's retriever, not of this one: {instead}{why}"


def _show_number(value: Any) -> str:
    return repr(value) if is_finite(value) else "…"


class RetrievalOptions(TypedDict, total=False):
    """What `with_options` and `retrieve_batch` take; the constructor takes the same.

    Restrictions (`filters`, `filter`, `node_ids`, `doc_ids`) are AND-ed with those that there are, `params` are
    added to them, anything else replaces what there is.

    Attributes:
        strategy: how nodes are found and ranked.
        similarity_top_k: how many nodes to return (groups, with `group_by`).
        filters: LlamaIndex's metadata filters.
        filter: a `qdrant_client.models.Filter`.
        node_ids: only these nodes; an empty list lets none through.
        doc_ids: only nodes of these documents; an empty list lets none through.
        score_threshold: the score to reach (for Euclid and Manhattan: the distance not to exceed).
        timeout: seconds for the whole call; see `QdrantRerankRetriever`.
        options: what few need; see `QdrantRerankRetriever`.
        params: request-time values by name, for `param(name)` in formulas.
        explanations: whether each node says why it is where it is; see `QdrantRerankRetriever`.
    """

    strategy: Strategy | None
    similarity_top_k: int
    filters: MetadataFilters | None
    filter: models.Filter | None
    node_ids: Sequence[str] | None
    doc_ids: Sequence[str] | None
    score_threshold: float | None
    timeout: float | None
    options: SearchOptions | None
    params: Mapping[str, Any] | None
    explanations: bool


@dataclass(frozen=True)
class Options:
    """The options of a retriever, checked, with all restrictions as Qdrant filters.

    Raises:
        QueryError: a value can't be.
        StrategyError: the strategy isn't one.
    """

    strategy: Strategy | None = None
    similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K
    restrictions: tuple[models.Filter, ...] = ()
    score_threshold: float | None = None
    timeout: float | None = None
    options: SearchOptions = _DEFAULT
    params: Mapping[str, Any] = field(default_factory=dict)
    explanations: bool = False

    def __post_init__(self) -> None:
        check_count("similarity_top_k", self.similarity_top_k)
        check_flag("explanations", self.explanations)
        if problem := timeout_problem(self.timeout):
            raise QueryError(problem)
        if self.strategy is not None:
            check_strategy(self.strategy)
        if check_options(self.options, _OWN).with_payload is False:
            raise QueryError("with_payload=False leaves nothing to make nodes of")

    def change(self, changes: RetrievalOptions, reader: NodeReader) -> Self:
        """These options with changes; see `RetrievalOptions`.

        Raises:
            TypeError: there is no such option.
            QueryError: a value can't be.
        """
        given: dict[str, Any] = dict(changes)
        if unknown := find_unknown(given, known := sorted(RetrievalOptions.__annotations__), _OWN):
            raise TypeError(f"there is no option {unknown[0]!r}; there are {', '.join(known)}{unknown[1]}")
        if "options" in given:
            given["options"] = given["options"] or _DEFAULT
        narrowed = _restrictions(changes, reader)
        kept = {each.name for each in fields(self)}
        replaced = {name: value for name, value in given.items() if name in kept}
        added, strategy = given.get("params"), replaced.get("strategy") or self.strategy
        params = self.params if added is None else add_params(self.params, added, strategy)
        return replace(self, **{**replaced, "params": params, "restrictions": (*self.restrictions, *narrowed)})

    @cached_property
    def search_options(self) -> SearchOptions:
        """What Qdrant is asked for."""
        filters: list[models.Condition] = list(self.restrictions)
        return replace(
            self.options,
            limit=self.similarity_top_k,
            filter=models.Filter(must=filters) if len(filters) > 1 else next(iter(self.restrictions), None),
            score_threshold=self.score_threshold,
            timeout=self.timeout,
        )


def _restrictions(given: RetrievalOptions, reader: NodeReader) -> list[models.Filter]:
    """The restrictions among the options as filters."""
    found: list[models.Filter] = []
    if (metadata := given.get("filters")) is not None:
        translated = to_qdrant_filter(metadata, reader.prefix)
        if translated != models.Filter():
            found.append(translated)
    if (native := given.get("filter")) is not None:
        check_filter(native)
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

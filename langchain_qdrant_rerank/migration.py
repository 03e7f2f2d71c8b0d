"""What arguments of `vectorstore.as_retriever()` are called here, for those who move: as texts of errors.

langchain-qdrant turns a cosine `s` into the relevance `(s + 1) / 2`, which its `similarity_score_threshold` compares, and hands
`lambda_mult` to Qdrant as the diversity of MMR, although LangChain means the reverse by it (1 is the least diverse).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from qdrant_client import models

from qdrant_rerank._internals import is_finite

__all__ = ["translate"]

_THEIRS: Final = ("search_type", "search_kwargs", "fetch_k", "lambda_mult")
_KINDS: Final = ("similarity", "mmr", "similarity_score_threshold")
_SAME: Final = ("k", "filter", "offset", "score_threshold", "timeout")
_OPTIONS: Final = ("search_params", "consistency", "shard_key_selector")
_DENSE, _SPARSE = "", "langchain-sparse"  # langchain-qdrant's own names
_NAMES: Final = "with the names of your collection's vectors, where they aren't langchain-qdrant's own"
_FETCH_K: Final = 20  # langchain-qdrant's own
_LAMBDA: Final = 0.5
_SCALE: Final = (
    "their threshold t compares (cosine + 1) / 2 and ours the cosine itself, so that t is 2t - 1 here; of other distances take "
    "it from the scores that search_with_scores shows"
)
_DIVERSITY: Final = (
    "langchain-qdrant hands lambda_mult to Qdrant as the diversity, so this finds the same; LangChain means the reverse by it, "
    "with 1 as the least diverse: for that write 1 minus it"
)


def translate(given: Mapping[str, Any]) -> str | None:
    """What to pass instead of `as_retriever()`'s arguments among these; None where there are none of them."""
    theirs = [name for name in _THEIRS if name in given]
    if not theirs:
        return None
    inside = given.get("search_kwargs")
    asked: dict[str, Any] = dict(inside) if isinstance(inside, Mapping) else {}
    asked |= {name: given[name] for name in ("fetch_k", "lambda_mult") if name in given}
    kind = given.get("search_type", "similarity")
    if kind == "similarity_score_threshold" and "score_threshold" in given:
        asked = {"score_threshold": given["score_threshold"], **asked}
    arguments, notes = dict[str, str](), list[str]()
    if kind not in _KINDS:
        notes.append(f"there is no such search_type, but {', '.join(map(repr, _KINDS))}")
    for argument, value, note in _pairs(str(kind), asked):
        arguments |= {argument: value} if argument else {}
        notes += [note] if note else []
    inside_options = [f"{name}={arguments.pop(name)}" for name in _OPTIONS if name in arguments]
    listed = " and ".join(theirs)
    written = [f"{name}={value}" for name, value in arguments.items()]
    written += [f"options=SearchOptions({', '.join(inside_options)})"] if inside_options else []
    instead = f"pass {', '.join(written)} instead" if written else "leave it out"
    why = f" ({'; '.join(notes)})" if notes else ""
    return f"{listed} {'is' if len(theirs) == 1 else 'are'} of as_retriever(), not of this retriever: {instead}{why}"


def _pairs(kind: str, asked: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each argument to pass, "" for none, with its value, and what is to be said of it."""
    if kind == "mmr" or "lambda_mult" in asked or "fetch_k" in asked:
        diversity, candidates = asked.get("lambda_mult", _LAMBDA), asked.get("fetch_k", _FETCH_K)
        yield "strategy", f"Mmr(diversity={_number(diversity)}, candidates_limit={_number(candidates)})", _DIVERSITY
    for name, value in asked.items():
        if name == "score_threshold" and kind == "similarity_score_threshold":
            yield name, f"{2 * value - 1:.10g}" if is_finite(value) else "…", _SCALE
        elif name in (*_SAME, *_OPTIONS):
            yield name, _number(value), ""
        elif name == "hybrid_fusion":
            fusion = "dbsf" if getattr(value, "fusion", value) == models.Fusion.DBSF else "rrf"
            yield "strategy", f"Fusion.{fusion}().over(Nearest({_DENSE!r}, limit=100), Nearest({_SPARSE!r}, limit=100))", _NAMES
        elif name not in ("lambda_mult", "fetch_k"):
            yield "", "", f"{name} has no counterpart here"
    if kind == "similarity_score_threshold" and "score_threshold" not in asked:
        yield "score_threshold", "…", _SCALE


def _number(value: Any) -> str:
    return repr(value) if is_finite(value) else "…"  # a filter may hold what an error mustn't show

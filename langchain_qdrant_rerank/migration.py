"""What arguments of `vectorstore.as_retriever()` are called here, for those who move: as texts of errors.

langchain-qdrant turns a cosine `s` into the relevance `(s + 1) / 2`, which its `similarity_score_threshold` compares, and hands
`lambda_mult` to Qdrant as the diversity of MMR, although LangChain means the reverse by it (1 is the least diverse).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from qdrant_rerank._internals import is_finite

__all__ = ["translate"]

_THEIRS: Final = ("search_type", "search_kwargs", "fetch_k", "lambda_mult")
_SAME: Final = ("k", "filter", "offset", "score_threshold")
_OPTIONS: Final = ("search_params", "consistency", "shard_key_selector", "timeout")
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
    arguments, notes = list[str](), list[str]()
    for argument, note in _pairs(str(kind), asked):
        arguments.append(argument)
        notes += [note] if note else []
    listed = " and ".join(theirs)
    instead = f"pass {', '.join(arguments)} instead" if arguments else "leave it out"
    why = f" ({'; '.join(notes)})" if notes else ""
    return f"{listed} {'is' if len(theirs) == 1 else 'are'} of as_retriever(), not of this retriever: {instead}{why}"


def _pairs(kind: str, asked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each argument to pass, and what is to be said of it."""
    if kind == "mmr" or "lambda_mult" in asked or "fetch_k" in asked:
        diversity, candidates = asked.get("lambda_mult", _LAMBDA), asked.get("fetch_k", _FETCH_K)
        yield f"strategy=Mmr(diversity={_number(diversity)}, candidates_limit={_number(candidates)})", _DIVERSITY
    for name, value in asked.items():
        if name == "score_threshold" and kind == "similarity_score_threshold":
            threshold = f"{2 * value - 1:.10g}" if is_finite(value) else "2t - 1"
            yield f"score_threshold={threshold}", _SCALE
        elif name in _SAME:
            yield f"{name}={_number(value)}", ""
        elif name in _OPTIONS:
            yield f"{name}=…" if name == "timeout" else f"options=SearchOptions({name}=…)", ""
        elif name == "hybrid_fusion":
            yield "strategy=Fusion.rrf().over(…)", ""
        elif name not in ("lambda_mult", "fetch_k"):
            yield "no counterpart of " + name, ""
    if kind == "similarity_score_threshold" and "score_threshold" not in asked:
        yield "score_threshold=…", _SCALE


def _number(value: Any) -> str:
    return repr(value) if is_finite(value) else "…"  # a filter may hold what an error mustn't show

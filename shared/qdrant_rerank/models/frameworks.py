"""Other packages' rerankers as rerankers: LangChain's compressors, LlamaIndex's postprocessors, qdrant-relevance-feedback's.

None of these packages is imported before one of its rerankers scores; a reranker's methods show whose it is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from .._lazy import load_extra
from ..errors import ScoringError, StrategyError
from ..threads import in_worker, inherits
from ..values import identify, is_finite, model_name, qualname_of
from .base import CompressesDocuments, PostprocessesNodes, Reranker, check_scores
from .llm_prompts import is_blank


@dataclass(frozen=True)
class FrameworkStats:
    """Counts since the model was made; a copy that doesn't change.

    Attributes:
        calls: lists that were given to the reranker.
        dropped: texts that it left out.
        repeated: texts that it returned again, e.g. in parts; the best score counts.
        ranked: calls whose scores are ranks, because not everything returned had a score.
        empty: texts without a visible character, which it wasn't given.
    """

    calls: int = 0
    dropped: int = 0
    repeated: int = 0
    ranked: int = 0
    empty: int = 0


class Returned(NamedTuple):
    """What a reranker returned: the number of a text, and its score if there is one."""

    number: int
    score: float | None


def complete_scores(returned: Sequence[Returned], count: int, margin: float) -> list[float]:
    """A score for each of `count` texts.

    Those returned get their scores; if any has none, all get ranks: `1 - position / count`. The others get the lowest of
    these minus `margin`, or 0 if nothing was returned.
    """
    best: dict[int, float] = {}
    by_rank = any(score is None for _, score in returned)
    for number, score in returned:
        value = 1 - len(best) / count if by_rank or score is None else score
        best[number] = best.get(number, value) if by_rank else max(value, best.get(number, value))
    rest = min(best.values()) - margin if best else 0.0
    return [best.get(number, rest) for number in range(count)]


def as_number(value: Any, whose: str) -> float | None:
    """A score as a float, numpy's numbers too; None stays None. Raises ScoringError: it is something else, or not finite."""
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, str | bytes | bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ScoringError(f"{whose} wrote a score that isn't a finite number: {value!r:.80}")
    return number


_KEY = "_qdrant_rerank_number"
_ID = "qdrant-rerank-"


def from_compressor(compressor: CompressesDocuments, *, margin: float = 1.0, name: str | None = None) -> CompressorModel:
    """A LangChain document compressor as a reranker.

    Scores are what it writes to `metadata["relevance_score"]`, higher being better; if it doesn't, they are ranks, from 1
    down in steps of 1 / number of texts. Texts that it drops get the lowest score minus `margin`, so give it a `top_n` of
    None or large enough. Texts without visible characters aren't given to it and score like dropped ones.

    Args:
        compressor: any `BaseDocumentCompressor`.
        margin: how far dropped texts are below the lowest score; more than 0.
        name: what the fingerprint calls it; by default its class, model and `top_n`, and there is none where it doesn't say
            its model. Say more if settings differ otherwise.

    Raises:
        StrategyError: it isn't a compressor, or a setting is wrong.
    """
    _check(compressor, CompressesDocuments, "document compressor", "compress_documents or acompress_documents")
    return CompressorModel(compressor, margin, name)


def from_postprocessor(
    postprocessor: PostprocessesNodes, *, margin: float = 1.0, name: str | None = None
) -> PostprocessorModel:
    """A LlamaIndex node postprocessor as a reranker.

    Scores are those of the nodes that it returns, higher being better; nodes come to it without a score, and if any leaves
    without, all scores are ranks. Dropped and empty texts are treated as in `from_compressor`.

    Args:
        postprocessor: any `BaseNodePostprocessor` that reranks.
        margin, name: as of `from_compressor`.

    Raises:
        StrategyError: it isn't a postprocessor, or a setting is wrong.
    """
    _check(postprocessor, PostprocessesNodes, "node postprocessor", "postprocess_nodes or apostprocess_nodes")
    return PostprocessorModel(postprocessor, margin, name)


def from_framework(value: Any) -> FrameworkModel:
    """Make a reranker of a compressor or a postprocessor; raises as these do."""
    return from_compressor(value) if hasattr(value, "compress_documents") else from_postprocessor(value)


class FrameworkModel(ABC):
    """What `from_compressor` and `from_postprocessor` make."""

    independent = False
    """A text's score may depend on the other texts of the list (ranks do): it must not be kept in a cache."""

    def __init__(self, reranker: Any, margin: float, name: str | None) -> None:
        if not is_finite(margin) or margin <= 0:
            raise StrategyError(f"margin is a finite number above 0, not {margin!r}")
        self.margin = margin
        self.name, self._is_known = _name_of(reranker) if name is None else (name, True)
        self._reranker = reranker
        self._lock = Lock()
        self._counts: Counter[str] = Counter()

    @property
    def fingerprint(self) -> str | None:
        return f"{self.name}:margin={self.margin:g}" if self._is_known else None

    @property
    def stats(self) -> FrameworkStats:
        with self._lock:
            return FrameworkStats(**self._counts)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """A score for each text.

        Raises ScoringError: the reranker returned something that it wasn't given, or a score that isn't a number.
        """
        shown = self._pick_texts(texts)
        returned = self._sync(query, self._wrap_texts(shown, texts)) if shown else []
        return self._read_scores(returned, shown, len(texts))

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, by the reranker's async method."""
        shown = self._pick_texts(texts)
        returned = await self._async(query, self._wrap_texts(shown, texts)) if shown else []
        return self._read_scores(returned, shown, len(texts))

    def __repr__(self) -> str:  # without the reranker, whose repr may show a key
        return f"<{type(self).__name__} {self.name}:margin={self.margin:g}>"

    @abstractmethod
    def _wrap_texts(self, shown: Sequence[int], texts: Sequence[str]) -> list[Any]:
        """The framework's documents, one for each text shown."""

    @abstractmethod
    def _sync(self, query: str, made: list[Any]) -> Any: ...

    @abstractmethod
    async def _async(self, query: str, made: list[Any]) -> Any: ...

    @abstractmethod
    def _read(self, item: Any) -> tuple[object, object]:
        """The number of the text that was returned, and its score."""

    def _pick_texts(self, texts: Sequence[str]) -> list[int]:
        shown = [number for number, text in enumerate(texts) if not is_blank(text)]
        self._count(empty=len(texts) - len(shown), calls=int(bool(shown)))
        return shown

    def _read_scores(self, items: Sequence[Any], shown: Sequence[int], count: int) -> list[float]:
        given, whose = set(shown), type(self._reranker).__name__
        returned: list[Returned] = []
        for item in items:
            number, score = self._read(item)
            if not isinstance(number, int) or number not in given:
                raise ScoringError(
                    f"{whose} returned a {type(item).__name__} that can't be told to be one of the {len(given)} it was given: "
                    "a reranker keeps metadata (LangChain) and ids (LlamaIndex)"
                )
            returned.append(Returned(number, as_number(score, whose)))
        kept = {number for number, _ in returned}
        by_rank = any(score is None for _, score in returned)
        self._count(dropped=len(given) - len(kept), repeated=len(returned) - len(kept), ranked=int(by_rank))
        return complete_scores(returned, count, self.margin)

    def _count(self, **more: int) -> None:
        with self._lock:
            self._counts.update(more)


class CompressorModel(FrameworkModel):
    """A LangChain document compressor as a reranker; see `from_compressor`."""

    def _wrap_texts(self, shown: Sequence[int], texts: Sequence[str]) -> list[Any]:
        documents = load_extra("langchain_core.documents", "from_compressor", "langchain")
        return [documents.Document(page_content=texts[number], metadata={_KEY: number}) for number in shown]

    def _sync(self, query: str, made: list[Any]) -> Any:
        return self._reranker.compress_documents(made, query)

    async def _async(self, query: str, made: list[Any]) -> Any:
        from langchain_core.documents import BaseDocumentCompressor

        if inherits(self._reranker, BaseDocumentCompressor, "acompress_documents"):  # which takes asyncio's pool
            return await in_worker(lambda: self._sync(query, made))
        return await self._reranker.acompress_documents(made, query)

    def _read(self, item: Any) -> tuple[object, object]:
        return item.metadata.get(_KEY), item.metadata.get("relevance_score")


class PostprocessorModel(FrameworkModel):
    """A LlamaIndex node postprocessor as a reranker; see `from_postprocessor`."""

    def _wrap_texts(self, shown: Sequence[int], texts: Sequence[str]) -> list[Any]:
        schema = load_extra("llama_index.core.schema", "from_postprocessor", "llama-index")
        # the number is in the id alone: metadata is part of the text that rerankers read
        return [schema.NodeWithScore(node=schema.TextNode(text=texts[number], id_=f"{_ID}{number}")) for number in shown]

    def _sync(self, query: str, made: list[Any]) -> Any:
        return self._reranker.postprocess_nodes(made, query_str=query)

    async def _async(self, query: str, made: list[Any]) -> Any:
        from llama_index.core.postprocessor.types import BaseNodePostprocessor

        if inherits(self._reranker, BaseNodePostprocessor, "_apostprocess_nodes"):  # which takes asyncio's pool
            return await in_worker(lambda: self._sync(query, made))
        return await self._reranker.apostprocess_nodes(made, query_str=query)

    def _read(self, item: Any) -> tuple[object, object]:
        number = str(item.node.node_id).removeprefix(_ID)
        return int(number) if number.isascii() and number.isdigit() else None, item.score


def _name_of(reranker: Any) -> tuple[str, bool]:
    """Its class, model and `top_n`; and whether that tells it from others."""
    kind = type(reranker)
    inner = (reranker, getattr(reranker, "model", None), getattr(reranker, "llm", None))
    model = next((name for part in inner if (name := model_name(part))), None)
    top_n = getattr(reranker, "top_n", None)
    name = qualname_of(kind) + (f"/{model}" if model else "") + (f":top_n={top_n}" if top_n else "")
    return name, model is not None or identify(reranker) is not None


def _check(value: object, protocol: type[Any], what: str, methods: str) -> None:
    if isinstance(value, type):
        raise StrategyError(f"not a {what}: the class {value.__name__} (pass an object of it) lacks {methods}")
    if not isinstance(value, protocol):
        raise StrategyError(f"not a {what}: {type(value).__name__} lacks {methods}")


@dataclass(frozen=True)
class OfficialFeedback:
    """A `Feedback` object of qdrant-relevance-feedback as a reranker.

    Args:
        feedback: anything with `score(query, responses)`, one number for each response, higher is better.
        name: what tells it from other models; its type and the name of its model if None and it says that.

    Raises StrategyError: it has no such method, or it doesn't say which model it is and no name is given.
    """

    feedback: Any
    name: str | None = None

    def __post_init__(self) -> None:
        if not callable(getattr(self.feedback, "score", None)):
            raise StrategyError(f"not a Feedback: {type(self.feedback).__name__} has no score(query, responses)")
        if not self._known_as:
            raise StrategyError(
                f"{type(self.feedback).__name__} doesn't say which model it is, by which fitted coefficients go: give "
                "OfficialFeedback(…, name='…'), another one for every model that scores otherwise"
            )

    @property
    def _known_as(self) -> str:
        return self.name or str(getattr(self.feedback, "_model_name", "") or getattr(self.feedback, "model_name", "") or "")

    @property
    def fingerprint(self) -> str:
        """The type of the object and the name of its model."""
        return f"official:{type(self.feedback).__qualname__}:{self._known_as}"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in the order of the texts.

        Raises ScoringError: it returned the wrong number of scores, or some that aren't finite.
        """
        return check_scores(list(self.feedback.score(query, list(texts))), len(texts), self.feedback) if texts else []


def is_official(value: object) -> bool:
    """Whether `value` is a `Feedback` of that package."""
    foreign = any(base.__module__.partition(".")[0] == "qdrant_relevance_feedback" for base in type(value).__mro__)
    return foreign and not isinstance(value, Reranker)

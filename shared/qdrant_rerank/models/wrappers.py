"""Rerankers made of something else: of a function, of another framework's, of one whose scores are kept or limited."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from hashlib import blake2b
from inspect import getattr_static
from typing import Any, NamedTuple, TypeGuard

from ..errors import BudgetError, StrategyError
from ..steps import adrive, drive
from ..threads import in_worker
from ..values import identify, is_finite, is_whole
from .base import Reranker, RerankerLike, ascore_texts, check_scores, check_whole, describe_model, score_texts


@dataclass(frozen=True)
class _FunctionModel:
    function: Callable[[str, Sequence[str]], Sequence[float]]

    @property
    def fingerprint(self) -> str | None:
        known = identify(self.function)
        return known and f"function:{known}"

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return self.function(query, texts)


def _is_model(value: RerankerLike) -> TypeGuard[Reranker]:
    """Whether it is a reranker; `isinstance` would compute its fingerprint, which may read a model's folder."""
    has_fingerprint = getattr_static(value, "fingerprint", None) is not None
    return has_fingerprint and not isinstance(value, type) and callable(getattr(value, "score", None))


def as_reranker(value: RerankerLike) -> Reranker:
    """Make a reranker of a reranker, a plain function, or another framework's reranker.

    Raises StrategyError: it is none of these.
    """
    if _is_model(value):
        return value
    if hasattr(value, "compress_documents") or hasattr(value, "postprocess_nodes"):
        from .frameworks import from_framework

        return from_framework(value)
    if callable(value):
        return _FunctionModel(value)
    if callable(getattr(value, "score", None)):
        from .frameworks import OfficialFeedback, is_official

        if is_official(value):
            return OfficialFeedback(value)
        raise StrategyError(
            f"{type(value).__name__} has score, but no fingerprint, by which caches and fitted coefficients know it: give the "
            "class a text that changes whenever its scores would, e.g. fingerprint = 'my-model:1'"
        )
    raise StrategyError(
        f"not a reranker: {type(value).__name__} has no score and fingerprint, and can't be called with (query, texts); "
        "an LLM is one within LlmPointwise(llm) or LlmListwise(llm)"
    )


class CacheCounts(NamedTuple):
    """How many texts found their score in a cache, how many didn't, and how many scores it holds."""

    hits: int
    misses: int
    size: int


class ScoreCache:
    """Up to `size` scores, by the model's fingerprint, the query and the text; what was used longest ago goes first.

    It may be shared between models and threads. Texts aren't kept, only 16 bytes made of them: a score takes about 200
    bytes. Copies and unpickled ones start empty.

    Args:
        size: the most scores that are kept.

    Raises:
        StrategyError: it is less than 1.
    """

    def __init__(self, size: int = 100_000) -> None:
        check_whole(self, size=size)
        self.size = size
        self._scores: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    @property
    def counts(self) -> CacheCounts:
        with self._lock:
            return CacheCounts(self._hits, self._misses, len(self._scores))

    def clear(self) -> None:
        """Forget all scores; the counts of hits and misses go on."""
        with self._lock:
            self._scores.clear()

    def find(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """The scores that are there. Every key counts as a hit or a miss, one that is repeated as a hit."""
        with self._lock:
            found = {key: self._scores[key] for key in dict.fromkeys(keys) if key in self._scores}
            for key in found:
                self._scores.move_to_end(key)
            missing = len(set(keys)) - len(found)
            self._misses, self._hits = self._misses + missing, self._hits + len(keys) - missing
            return found

    def keep(self, scores: dict[bytes, float]) -> None:
        """Add scores by key, and drop what was used longest ago beyond `size`."""
        with self._lock:
            for key, score in scores.items():
                self._scores[key] = score
                self._scores.move_to_end(key)
            while len(self._scores) > self.size:
                self._scores.popitem(last=False)

    def __len__(self) -> int:
        return len(self._scores)

    def __repr__(self) -> str:
        return f"ScoreCache(size={self.size})"

    def __reduce__(self) -> tuple[type[ScoreCache], tuple[int]]:
        return type(self), (self.size,)


@dataclass(frozen=True)
class Cached:
    """A reranker that remembers scores: only texts without one are passed on, each once, in their order.

    Scores that aren't finite are an error and are not kept. Two calls at the same moment may both ask for the same text.

    Args:
        reranker: the model asked for scores that aren't there.
        cache: keeps them.

    Raises:
        StrategyError: nothing tells the model from others (a lambda, a function within a function); or a text's score
            depends on the other texts (`independent` is False).
    """

    reranker: RerankerLike
    cache: ScoreCache

    def __post_init__(self) -> None:
        model = as_reranker(self.reranker)
        if not getattr(model, "independent", True):
            raise StrategyError(
                f"{describe_model(model)} ranks texts against each other: a text's score depends on the others, "
                "and can't be kept"
            )
        if isinstance(model, _FunctionModel) or callable(getattr(model, "encoder", None)):
            find_fingerprint(model)  # of others it may have a model's folder read, which is for later

    @property
    def fingerprint(self) -> str | None:
        """The model's."""
        return as_reranker(self.reranker).fingerprint

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in their order.

        Raises:
            ScoringError: the model returned the wrong number of scores, or some that aren't finite.
        """
        model = as_reranker(self.reranker)
        keys = score_keys(find_fingerprint(model), query, texts)
        return drive(self._complete(keys, texts), partial(score_texts, model, query))

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, without blocking."""
        model = as_reranker(self.reranker)
        # in a thread, as a fingerprint may have a model's folder read, and texts may be long
        keys = await in_worker(lambda: score_keys(find_fingerprint(model), query, texts))
        return await adrive(self._complete(keys, texts), partial(ascore_texts, model, query))

    def _complete(self, keys: Sequence[bytes], texts: Sequence[str]) -> Generator[list[str], Any, list[float]]:
        """Ask for the scores that aren't there, each once."""
        found = self.cache.find(keys)
        if missing := {key: text for key, text in zip(keys, texts, strict=True) if key not in found}:
            scores = yield list(missing.values())
            new = dict(zip(missing, check_scores(scores, len(missing), self.reranker), strict=True))
            self.cache.keep(new)
            found |= new
        return [found[key] for key in keys]


def find_fingerprint(model: Reranker) -> str:
    """What tells the model from others, for what is kept. Raises StrategyError: nothing does."""
    known = model.fingerprint
    if known is None:
        raise StrategyError(
            f"scores of {describe_model(model)} can't be kept: nothing tells it from others, whose scores would be taken for "
            "its own. Write a function at the top of a module, or set its `fingerprint`, a text that changes whenever its "
            "scores would; EncoderSimilarity, MaxSim and from_compressor take name=…"
        )
    return known


def score_keys(fingerprint: str, query: str, texts: Sequence[str]) -> list[bytes]:
    """The keys of scores: 16 bytes for each text, made of the model's fingerprint, the query and the text."""
    start = blake2b(_part(fingerprint) + _part(query), digest_size=16)
    keys: list[bytes] = []
    for text in texts:
        whole = start.copy()
        whole.update(_part(text))
        keys.append(whole.digest())
    return keys


def _part(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return b"%d:%b" % (len(content), content)  # lengths keep parts from running together


_TEXTS_AT_A_TIME = 32


@dataclass(frozen=True)
class Limited:
    """A reranker that fails rather than cost more than it may.

    More texts than `documents` are refused before the first is scored. Under async, the call is cancelled when the time is
    up. A sync call can't be interrupted: with `seconds`, texts are passed on in portions, with a look at the time between
    them, so that it may last one portion longer. Models that rank texts against each other (`independent` is False) get all
    at once.

    Around a cache, as in `Limited(Cached(model, cache), …)`, known scores count too; `Cached(Limited(model, …), cache)`
    limits only what the model is asked.

    Args:
        reranker: the model.
        documents: the most texts in one call; any number if None.
        seconds: the longest that one call may take; any time if None.
        portion: how many texts a sync call passes on at a time, if `seconds` is set; the model's own `batch_size` (or 32)
            if None.

    Raises:
        StrategyError: a limit is out of range, or there is none.
    """

    reranker: RerankerLike
    _: KW_ONLY
    documents: int | None = None
    seconds: float | None = None
    portion: int | None = None

    def __post_init__(self) -> None:
        as_reranker(self.reranker)
        if self.documents is None and self.seconds is None:
            raise StrategyError("Limited without a limit: pass documents=…, seconds=…, or both")
        check_whole(self, documents=self.documents, portion=self.portion)
        if self.seconds is not None and not (is_finite(self.seconds) and self.seconds > 0):
            raise StrategyError(f"the seconds of Limited must be a number above 0, got {self.seconds!r}")

    @property
    def fingerprint(self) -> str | None:
        """The model's."""
        return as_reranker(self.reranker).fingerprint

    @property
    def independent(self) -> bool:
        """The model's."""
        return bool(getattr(as_reranker(self.reranker), "independent", True))

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in the order of the texts.

        Raises:
            BudgetError: the budget doesn't suffice.
            ScoringError: the model's scores are unusable.
        """
        self._check(texts)
        model, scores, start = as_reranker(self.reranker), list[float](), time.monotonic()
        portion = self._portion(len(texts))
        while len(scores) < len(texts):
            if self.seconds is not None and time.monotonic() - start >= self.seconds:
                raise self._too_slow(f"after {len(scores)} of {len(texts)} texts")
            batch = texts[len(scores) : len(scores) + portion]
            scores += check_scores(score_texts(model, query, batch), len(batch), self.reranker)
        return scores

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, without blocking; cancelled on time."""
        self._check(texts)
        deadline = asyncio.timeout(self.seconds)
        try:
            async with deadline:
                scores = await ascore_texts(as_reranker(self.reranker), query, texts)
                return check_scores(scores, len(texts), self.reranker)
        except TimeoutError as error:
            if not deadline.expired():
                raise  # the model's own
            raise self._too_slow(f"while {len(texts)} texts were scored") from error

    def _check(self, texts: Sequence[str]) -> None:
        if self.documents is not None and len(texts) > self.documents:
            raise BudgetError(
                f"{len(texts)} texts are more than the budget of {self.documents} for {describe_model(self.reranker)}: "
                "take fewer candidates, or raise documents="
            )

    def _too_slow(self, when: str) -> BudgetError:
        return BudgetError(
            f"the budget of {self.seconds} s for {describe_model(self.reranker)} ran out {when}: take fewer, or raise seconds="
        )

    def _portion(self, whole: int) -> int:
        if self.seconds is None or not self.independent:
            return whole
        own = getattr(self.reranker, "batch_size", None)
        return self.portion or (own if isinstance(own, int) and is_whole(own, 1) else _TEXTS_AT_A_TIME)

"""Scores kept from earlier calls: a model asked again about the same query and text costs nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from ..errors import StrategyError
from ..threads import in_worker
from ..values import is_whole
from .base import RerankerLike, as_reranker
from .scores import ascored, checked, named, scored

__all__ = ["CacheCounts", "Cached", "ScoreCache", "score_keys"]


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
        if not is_whole(size, 1):
            raise StrategyError(f"the size of a ScoreCache must be a whole number of at least 1, got {size!r}")
        self.size = size
        self._scores: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    @property
    def counts(self) -> CacheCounts:
        """Hits, misses and the number of scores held."""
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
            self._misses += missing
            self._hits += len(keys) - missing
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
        model: the model asked for scores that aren't there.
        cache: where they are kept.

    Raises:
        StrategyError: the model is a function without a name of its own (a lambda, a closure, a partial), so that its
            scores couldn't be told from another's; or a text's score depends on the other texts (`independent` is False).
    """

    reranker: RerankerLike
    cache: ScoreCache

    def __post_init__(self) -> None:
        model = as_reranker(self.reranker)
        if not getattr(model, "independent", True):
            raise StrategyError(
                f"{named(model)} ranks texts against each other: a text's score depends on the others, and can't be kept"
            )
        if hasattr(self.reranker, "score"):
            return
        fingerprint = self.fingerprint
        if fingerprint.startswith("function:") and ("<" in fingerprint or not hasattr(self.reranker, "__qualname__")):
            raise StrategyError(
                f"{fingerprint} can't be cached: other functions have the same name; write a class with score and fingerprint, "
                "or a function at the top of a module"
            )

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return as_reranker(self.reranker).fingerprint

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in the order of the texts.

        Raises:
            ScoringError: the model returned the wrong number of scores, or some that aren't finite.
        """
        model = as_reranker(self.reranker)
        keys = score_keys(model.fingerprint, query, texts)
        found = self.cache.find(keys)
        if missing := _missing(keys, texts, found):
            found |= self._new(missing, scored(model, query, list(missing.values())))
        return [found[key] for key in keys]

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, without blocking."""
        model = as_reranker(self.reranker)
        # in a thread, as a fingerprint may have a model's folder read, and texts may be long
        keys = await in_worker(lambda: score_keys(model.fingerprint, query, texts))
        found = self.cache.find(keys)
        if missing := _missing(keys, texts, found):
            found |= self._new(missing, await ascored(model, query, list(missing.values())))
        return [found[key] for key in keys]

    def _new(self, missing: dict[bytes, str], scores: Sequence[Any]) -> dict[bytes, float]:
        new = dict(zip(missing, checked(scores, len(missing), self.reranker), strict=True))
        self.cache.keep(new)
        return new


def score_keys(fingerprint: str, query: str, texts: Sequence[str]) -> list[bytes]:
    """What scores are kept under: 16 bytes for each text, made of the model's fingerprint, the query and the text.

    Lengths come before the parts, so that no two triples run together.
    """
    start = blake2b(digest_size=16)
    for part in (fingerprint, query):
        _add(start, part)
    keys: list[bytes] = []
    for text in texts:
        whole = start.copy()
        _add(whole, text)
        keys.append(whole.digest())
    return keys


def _add(digest: Any, text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    digest.update(f"{len(content)}:".encode())
    digest.update(content)


def _missing(keys: Sequence[bytes], texts: Sequence[str], found: dict[bytes, float]) -> dict[bytes, str]:
    """The texts without a score, each once, in their order."""
    return {key: text for key, text in zip(keys, texts, strict=True) if key not in found}

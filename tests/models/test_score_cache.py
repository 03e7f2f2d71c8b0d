from __future__ import annotations

import functools
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import AsyncReranker, CacheCounts, as_reranker
from qdrant_rerank.models import Cached, EncoderSimilarity, Limited, MaxSim, ScoreCache, from_compressor


@dataclass
class Lengths:
    """Scores a text by its length, and notes what it was asked."""

    fingerprint: str = "lengths"
    asked: list[list[str]] = field(default_factory=list)
    factor: float = 1.0

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.asked.append(list(texts))
        return [self.factor * (len(query) + len(text)) for text in texts]


@dataclass
class AsyncLengths(Lengths):
    threads: set[threading.Thread] = field(default_factory=set)

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        self.threads.add(threading.current_thread())
        return self.score(query, texts)


def top_level(query: str, texts: Sequence[str]) -> list[float]:
    return [1.0 for _ in texts]


class Drops:
    """A compressor that doesn't say its model, and holds what nobody sees."""

    def __init__(self) -> None:
        self.state = object()

    def compress_documents(self, documents: Any, query: str) -> list[Any]:
        return []

    async def acompress_documents(self, documents: Any, query: str) -> list[Any]:
        return []


async def scored(model: Cached, how: str, query: str, texts: list[str]) -> list[float]:
    return model.score(query, texts) if how == "sync" else await model.ascore(query, texts)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_only_texts_without_a_score_are_passed_on_each_once_and_the_order_is_kept(how: str) -> None:
    inner, cache = Lengths(), ScoreCache()
    model = Cached(inner, cache)

    assert await scored(model, how, "q", ["bb", "a", "bb"]) == [3.0, 2.0, 3.0]
    assert await scored(model, how, "q", ["cccc", "a", "dd", "bb", "dd"]) == [5.0, 2.0, 3.0, 3.0, 3.0]
    assert await scored(model, how, "q", ["a", "bb"]) == [2.0, 3.0]
    assert await scored(model, how, "q", []) == []
    assert inner.asked == [["bb", "a"], ["cccc", "dd"]]
    assert cache.counts == CacheCounts(hits=1 + 3 + 2, misses=2 + 2, size=4)


def test_scores_belong_to_a_fingerprint_a_query_and_a_text() -> None:
    cache = ScoreCache()
    one, other = Lengths("one"), Lengths("other", factor=-1.0)

    assert Cached(one, cache).score("q", ["a"]) == [2.0]
    assert Cached(other, cache).score("q", ["a"]) == [-2.0]
    assert Cached(one, cache).score("qq", ["a"]) == [3.0]
    assert Cached(one, cache).score("q", ["qa"]) == [3.0]
    assert Cached(Lengths("one"), cache).score("q", ["a"]) == [2.0]
    assert len(one.asked) == 3
    assert len(cache) == 4


def test_the_parts_of_a_key_do_not_run_together() -> None:
    cache = ScoreCache()
    Cached(Lengths("a"), cache).score("bc", ["d"])
    for fingerprint, query, text in (("a", "b", "cd"), ("ab", "c", "d"), ("a", "", "bcd"), ("a", "bc1:", "d")):
        Cached(Lengths(fingerprint), cache).score(query, [text])

    assert cache.counts.misses == 5


def test_what_was_used_longest_ago_goes_first() -> None:
    inner, cache = Lengths(), ScoreCache(2)
    model = Cached(inner, cache)
    model.score("q", ["a", "b"])
    model.score("q", ["a"])
    model.score("q", ["c"])  # b goes

    assert model.score("q", ["a", "c"]) == [2.0, 2.0]
    assert inner.asked == [["a", "b"], ["c"]]
    assert model.score("q", ["b"]) == [2.0]
    assert inner.asked[2:] == [["b"]]


def test_more_texts_in_one_call_than_the_cache_holds_are_all_scored() -> None:
    cache = ScoreCache(2)

    assert Cached(Lengths(), cache).score("q", ["a", "bb", "ccc"]) == [2.0, 3.0, 4.0]
    assert len(cache) == 2


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(("scores", "message"), [([1.0], "1 scores for 2 texts"), ([1.0, float("nan")], "nan for text 1")])
async def test_unusable_scores_are_an_error_and_are_not_kept(how: str, scores: list[float], message: str) -> None:
    class Broken(Lengths):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            return scores

    cache = ScoreCache()
    with pytest.raises(ScoringError, match=message):
        await scored(Cached(Broken(), cache), how, "q", ["a", "b"])
    assert len(cache) == 0


async def test_async_models_are_awaited_and_others_run_in_a_thread() -> None:
    inner = AsyncLengths()
    assert await Cached(inner, ScoreCache()).ascore("q", ["a"]) == [2.0]
    assert inner.threads == {threading.current_thread()}

    def where(query: str, texts: Sequence[str]) -> list[float]:
        threads.add(threading.current_thread())
        return [1.0]

    class Sync(Lengths):
        score = staticmethod(where)

    threads: set[threading.Thread] = set()
    await Cached(Sync(), ScoreCache()).ascore("q", ["a"])
    assert threading.current_thread() not in threads


def test_the_fingerprint_is_the_models_and_the_wrapper_is_a_model() -> None:
    assert Cached(Lengths("mine"), ScoreCache()).fingerprint == "mine"
    assert isinstance(Cached(Lengths(), ScoreCache()), AsyncReranker)
    assert Cached(top_level, ScoreCache()).score("q", ["a"]) == [1.0]


def nameless(text: str = "") -> Callable[..., Any]:
    def model(*given: Any) -> list[float]:
        return [float(len(text))]

    return model


@pytest.mark.parametrize(
    "model",
    [
        lambda query, texts: [1.0],
        nameless(),
        functools.partial(nameless(), 1),
        EncoderSimilarity(nameless()),
        MaxSim(nameless()),
        Limited(nameless(), documents=3),
        from_compressor(Drops()),
    ],
    ids=["lambda", "closure", "partial", "similarity", "maxsim", "limited", "compressor"],
)
def test_models_that_nothing_tells_from_others_are_not_cached(model: Any) -> None:
    assert as_reranker(model).fingerprint is None
    with pytest.raises(StrategyError, match="can't be kept"):
        Cached(model, ScoreCache()).score("q", ["a"])


def test_functions_with_a_fingerprint_or_a_name_are_cached() -> None:
    known: Any = nameless()
    known.fingerprint = "mine:1"
    assert Cached(known, ScoreCache()).fingerprint == "function:mine:1"
    assert EncoderSimilarity(known).fingerprint == "cosine:FunctionEncoder(function=mine:1)"
    assert Cached(EncoderSimilarity(nameless(), name="mine"), ScoreCache()).fingerprint == "cosine:mine"
    partial = Cached(functools.partial(top_level, "query"), ScoreCache())
    assert partial.fingerprint == "function:partial(tests.models.test_score_cache.top_level, 'query')"


def test_threads_may_share_a_cache() -> None:
    cache = ScoreCache(50)
    models = [Cached(Lengths(), cache) for _ in range(4)]

    def work(number: int) -> bool:
        texts = ["x" * (1 + (number * 7 + place) % 90) for place in range(20)]
        return models[number % 4].score("q", texts) == [1.0 + len(text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))
    assert cache.counts.hits + cache.counts.misses == 400 * 20
    assert len(cache) == 50


def test_long_texts_take_no_more_memory_than_short_ones() -> None:
    cache = ScoreCache()
    Cached(Lengths(), cache).score("q", [str(number) * 100_000 for number in range(10)])

    assert sum(map(sys.getsizeof, cache._scores)) < 10 * 64


def test_clearing_forgets_scores() -> None:
    inner, cache = Lengths(), ScoreCache()
    Cached(inner, cache).score("q", ["a"])
    cache.clear()
    Cached(inner, cache).score("q", ["a"])

    assert len(inner.asked) == 2


def test_pickled_ones_start_empty_with_the_same_size() -> None:
    cache = ScoreCache(7)
    Cached(Lengths(), cache).score("q", ["a"])
    twin = pickle.loads(pickle.dumps(cache))

    assert (repr(twin), len(twin)) == ("ScoreCache(size=7)", 0)


def test_a_size_below_1_is_refused() -> None:
    with pytest.raises(StrategyError, match="the size of ScoreCache must be a whole number of at least 1, got 0"):
        ScoreCache(0)


def test_scores_that_depend_on_the_other_texts_are_not_kept() -> None:
    class Ranking:
        fingerprint = "ranking"
        independent = False

        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            return [0.0] * len(texts)

    with pytest.raises(StrategyError, match="ranks texts against each other"):
        Cached(Ranking(), ScoreCache())

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import AsyncReranker
from qdrant_rerank.models import Cached, Limited, ScoreCache


class Slow:
    """Takes a while for each text by a clock of its own, and notes how many it was asked for at a time."""

    fingerprint = "slow"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.asked: list[int] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.asked.append(len(texts))
        self.now += self.seconds * len(texts)
        return [float(len(text)) for text in texts]


class AsyncSlow(Slow):
    cancelled = False

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return [float(len(text)) for text in texts]


async def scored(model: Limited, how: str, texts: list[str]) -> list[float]:
    return model.score("q", texts) if how == "score" else await model.ascore("q", texts)


TEXTS = ["a", "bb", "ccc", "dddd", "eeeee"]
SCORES = [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_within_the_budget_scores_are_the_models() -> None:
    for model in (Slow(), AsyncSlow()):
        limited = Limited(model, documents=5, seconds=60, portion=2)
        assert limited.score("q", TEXTS) == SCORES
        assert await limited.ascore("q", TEXTS) == SCORES
        assert limited.score("q", []) == []
        assert limited.fingerprint == "slow"
        assert isinstance(limited, AsyncReranker)


@pytest.mark.parametrize("how", ["score", "ascore"])
async def test_more_texts_than_the_budget_are_refused_before_any_is_scored(how: str) -> None:
    model = Slow()
    with pytest.raises(ScoringError, match=r"5 texts are more than the budget of 4 for the model \(Slow\): take fewer"):
        await scored(Limited(model, documents=4), how, TEXTS)
    assert model.asked == []


def test_out_of_time_a_sync_call_ends_after_the_portion_that_it_is_at(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Slow(5.0)
    monkeypatch.setattr("qdrant_rerank.models.wrappers.time", SimpleNamespace(monotonic=lambda: model.now))
    with pytest.raises(ScoringError, match=r"the budget of 12 s for the model \(Slow\) ran out after 4 of 5 texts"):
        Limited(model, seconds=12, portion=2).score("q", TEXTS)
    assert model.asked == [2, 2]


async def test_out_of_time_an_async_call_is_cancelled() -> None:
    model = AsyncSlow(60.0)
    with pytest.raises(ScoringError, match=r"the budget of 0.1 s .* ran out while 5 texts were scored"):
        await Limited(model, seconds=0.1).ascore("q", TEXTS)
    assert model.cancelled


async def test_a_timeout_of_the_models_own_and_a_cancellation_from_outside_pass_through() -> None:
    class Own(Slow):
        async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
            raise TimeoutError("my own")

    with pytest.raises(TimeoutError, match="my own"):
        await Limited(Own(), seconds=60).ascore("q", TEXTS)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Limited(AsyncSlow(60.0), seconds=60).ascore("q", TEXTS), 0.05)


def test_without_a_time_limit_texts_are_passed_on_together_else_in_the_models_own_batches() -> None:
    class Batches(Slow):
        batch_size = 3

    for model, portions in ((Slow(), [40]), (Batches(), [40])):
        Limited(model, documents=99).score("q", ["a"] * 40)
        assert model.asked == portions
    for model, portions in ((Slow(), [32, 8]), (Batches(), [3] * 13 + [1])):
        Limited(model, seconds=60).score("q", ["a"] * 40)
        assert model.asked == portions


async def test_known_scores_are_free_if_the_cache_is_outside() -> None:
    cache = ScoreCache()
    model = Cached(Limited(Slow(), documents=3), cache)
    model.score("q", TEXTS[:3])

    assert model.score("q", TEXTS) == SCORES
    with pytest.raises(ScoringError, match="5 texts are more than the budget of 3"):
        Limited(Cached(Slow(), cache), documents=3).score("q", TEXTS)


@pytest.mark.parametrize("how", ["score", "ascore"])
async def test_unusable_scores_are_an_error(how: str) -> None:
    class Short(Slow):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            return [1.0]

    with pytest.raises(ScoringError, match="returned 1 scores for 5 texts"):
        await scored(Limited(Short(), seconds=60), how, TEXTS)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "Limited without a limit"),
        ({"documents": 0}, "the documents of Limited must be a whole number of at least 1, got 0"),
        ({"seconds": 0}, "the seconds of Limited must be a number above 0, got 0"),
        ({"seconds": 1, "portion": 0}, "the portion of Limited must be"),
    ],
)
def test_limits_out_of_range_are_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        Limited(Slow(), **limits)
    with pytest.raises(StrategyError, match="not a reranker: int"):
        Limited(3, documents=1)  # type: ignore[arg-type]


def test_models_that_rank_texts_against_each_other_get_them_all_at_once() -> None:
    class Ranking:
        fingerprint = "ranking"
        independent = False

        def __init__(self) -> None:
            self.sizes: list[int] = []

        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            self.sizes.append(len(texts))
            return [1.0 / (1 + place) for place in range(len(texts))]

    model = Ranking()
    limited = Limited(model, seconds=60.0, portion=2)
    limited.score("q", ["a", "b", "c", "d", "e"])
    assert (model.sizes, limited.independent) == ([5], False)
    assert Limited(lambda query, texts: [0.0], documents=1).independent

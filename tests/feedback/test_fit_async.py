"""`afit_feedback`: the same fit on the event loop, with models that answer several queries at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import AsyncExecutor, StrategyError
from qdrant_rerank.errors import FitError, MeasurementError
from qdrant_rerank.learn import afit_feedback, fit_feedback
from qdrant_rerank.learn._internals import Progress, ScoreFile
from tests.engines import open_client
from tests.support import near, refused

from .worlds import FEW, TEXTS, Knowing, async_executor, executor, fill, qrels


@pytest.fixture(scope="module")
def client() -> Iterator[QdrantClient]:
    made = fill(open_client())
    yield made
    made.close()


class Awaited(Knowing):
    """A model that is asked on the event loop, and notes how many questions it had at a time."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.now = self.most = 0
        self.fails_at = fails_at
        self.threads: set[int] = set()

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.threads.add(threading.get_ident())
        if self.fails_at is not None and len(self.calls) >= self.fails_at:
            raise TimeoutError("no answer")
        scores = super().score(query, texts)
        for _ in range(3):  # others have their turn meanwhile
            await asyncio.sleep(0)
        self.now -= 1
        return scores

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        raise AssertionError("asked in a thread")


@pytest.mark.parametrize("mode", ["precision", "recall"])
async def test_it_finds_the_same_as_the_sync_one(client: QdrantClient, mode: Any) -> None:
    model = Knowing() if mode == "precision" else Awaited()
    options: Any = {"mode": mode, "reads": 15, "candidates": 30, "qrels": qrels(), "doc_id": "_id", "folds": 3, "seed": 4}
    expected = fit_feedback(executor(client, Knowing()), FEW, **options)
    assert near(await afit_feedback(async_executor(client, model), FEW, **options)) == near(expected)
    assert len(expected.comparisons) == 5


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_the_model_answers_so_many_queries_at_a_time_on_the_loop(client: QdrantClient, concurrency: int) -> None:
    model = Awaited()
    told: list[tuple[Progress, int]] = []
    await afit_feedback(
        async_executor(client, model),
        FEW,
        candidates=30,
        concurrency=concurrency,
        progress=lambda each: told.append((each, threading.get_ident())),
    )
    assert model.most == concurrency
    assert model.threads == {thread for _, thread in told} == {threading.get_ident()}
    assert (told[-1][0].done, told[-1][0].asked) == (len(FEW) * 30, len(FEW) * 30)


async def test_the_loop_goes_on_while_it_fits(client: QdrantClient) -> None:
    """Fitting and a model without `ascore` run in threads; other tasks get their turn between."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class Waiting(Knowing):
        """Answers only once the loop has gone on since it was asked; its fingerprint is read where the fit runs."""

        @property
        def fingerprint(self) -> str:  # type: ignore[override]
            read_in.add(threading.get_ident())
            return "waiting"

        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            before = turns
            while turns == before:
                assert not never.wait(0.001)
            return super().score(query, texts)

    read_in: set[int] = set()
    never = threading.Event()
    task = asyncio.create_task(other())
    fit = await asyncio.wait_for(afit_feedback(async_executor(client, Waiting()), FEW, candidates=30), 120)
    task.cancel()
    assert fit.signal
    assert read_in
    assert threading.get_ident() not in read_in


async def test_a_failure_ends_it_and_what_was_scored_is_kept(client: QdrantClient, tmp_path: Path) -> None:
    path, again = tmp_path / "s.jsonl", Awaited()
    failing = Awaited(fails_at=10)
    with refused(MeasurementError, "TimeoutError: no answer", f"the scores are in {path}"):
        await afit_feedback(async_executor(client, failing), FEW, candidates=30, cache=path)
    assert len(failing.calls) < 10 + 4
    assert len(ScoreFile(Knowing(), path).known) == 30 * len(failing.calls)
    await afit_feedback(async_executor(client, again), FEW, candidates=30, cache=path)
    assert len(failing.calls) + len(again.calls) == len(FEW)


async def test_cancelling_it_keeps_what_was_scored(client: QdrantClient, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    scored = asyncio.Event()

    def tell(progress: Progress) -> None:
        if progress.asked >= 8 * 30:
            scored.set()

    fitting = asyncio.create_task(
        afit_feedback(async_executor(client, Awaited()), FEW, candidates=30, cache=path, progress=tell)
    )
    await asyncio.wait_for(scored.wait(), 60)
    fitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fitting
    kept = ScoreFile(Knowing(), path).known
    assert 8 * 30 <= len(kept) < len(FEW) * 30
    again = Knowing()
    await afit_feedback(async_executor(client, again), FEW, candidates=30, cache=path)
    assert sum(map(len, again.calls)) == len(FEW) * 30 - len(kept)


async def test_what_can_not_be_is_refused_like_there(client: QdrantClient) -> None:
    with refused(StrategyError, "concurrency= is afit_feedback's"):
        fit_feedback(executor(client, Knowing()), TEXTS, concurrency=2)
    with refused(StrategyError, "concurrency must be a whole number of at least 1, got 0"):
        await afit_feedback(async_executor(client, Knowing()), TEXTS, concurrency=0)
    with refused(FitError, "there are 3 different queries"):
        await afit_feedback(async_executor(client, Knowing()), TEXTS[:3])
    with refused(StrategyError, "make the executor with reranker="):
        await afit_feedback(AsyncExecutor(client, "c"), TEXTS)

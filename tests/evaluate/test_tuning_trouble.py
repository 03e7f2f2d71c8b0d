"""What goes wrong in tuning is an error, or left out and told; never averaged away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Mmr,
    Nearest,
    QdrantRerankError,
    Rerank,
    StrategyError,
    field,
)
from qdrant_rerank.errors import FitError, FormatError
from qdrant_rerank.evaluate import Topics
from qdrant_rerank.tune import Budget, Diverse, Grid, Reranked, SingleCandidates, Space, tune
from tests.evaluate.tuning_worlds import mmr_searches, world
from tests.support import refused

SPACE = Space((SingleCandidates(),), depths=(50,))
READ = Budget(model_texts=None)
NOTHING = models.Filter(must=[models.FieldCondition(key="likes", range=models.Range(gt=99.0))])


def test_a_search_that_always_fails_is_an_error() -> None:
    executor, topics, qrels = world((1.0, 1.0), count=25)
    broken = Topics([replace(topic, vectors={"a": [1.0], "b": [1.0]}) for topic in topics])
    with refused(FitError, "every topic failed, the first with: QueryError"):
        tune(executor, broken, qrels, space=SPACE)


def test_too_many_failing_topics_are_an_error() -> None:
    executor, topics, qrels = world((1.0, 1.0), count=26)
    broken = Topics([replace(t, vectors={"a": [1.0], "b": [1.0]}) if t.id in ("t0", "t1") else t for t in topics])
    with refused(FitError, "only 24 topics could be searched for"):
        tune(executor, broken, qrels, space=SPACE)


def test_a_search_that_finds_nothing_is_an_error() -> None:
    executor, topics, qrels = world((1.0, 1.0), count=25)
    with refused(StrategyError, "the candidates found nothing for any topic"):
        tune(executor, Topics([replace(topic, filter=NOTHING) for topic in topics]), qrels, space=SPACE)


def test_topics_that_nothing_is_found_for_count_as_0() -> None:
    executor, topics, qrels = world((0.1, 0.1), count=30)
    tuning = tune(
        executor, Topics([replace(t, filter=NOTHING) if t.id == "t0" else t for t in topics]), qrels, space=Space(depths=(20,))
    )
    assert all(values["t0"] == 0.0 for values in tuning.values.values())
    assert tuning["a alone"].mean == pytest.approx(29 / 30)


def test_a_model_that_fails_is_left_out_with_its_error() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)

    def fails(query: str, texts: Sequence[str]) -> list[float]:
        raise ConnectionError("the model is away")

    broken = Executor(executor.clients.sync(), "world", reranker=fails)
    tuning = tune(broken, topics, qrels, space=Space((Reranked((10,)),)), budget=READ)
    assert [row.name for row in tuning.configurations] == ["default"]
    assert {each.reason for each in tuning.left_out} == {"it fails on topic 't0': ConnectionError: the model is away"}


def test_a_strategy_that_fails_when_asked_is_left_out_and_its_failures_counted() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    grid = Grid("stars", lambda n: Mmr("a").over(Formula(field("stars")).over(Nearest("a", limit=n))), {"n": [50]})
    tuning = tune(executor, topics, qrels, space=Space((grid, SingleCandidates())))
    [left] = tuning.left_out
    assert left.reason.startswith("it fails on 40 of 40 topics, e.g. 't0': PlanError: the formula reads 'stars'")


def test_without_the_baselines_values_there_is_nothing_to_say() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    takes = f"takes {40 * mmr_searches()} requests, and 0 of the budget are left"
    with refused(QdrantRerankError, "the baseline could not be measured", takes):
        tune(executor, topics, qrels, baseline=Mmr("a").over(Nearest("a")), space=SPACE, budget=Budget(requests=80))


def test_a_baseline_with_a_model_is_recomputed_too() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    tuning = tune(executor, topics, qrels, baseline=Rerank(reads=10).over(Nearest("a")), space=SPACE, budget=READ)
    assert tuning.spent.requests == 2 * len(topics)
    assert tuning.spent.model_texts == 10 * len(topics)
    assert tuning["default"].mean > tuning["a alone"].mean
    assert not tuning.recommended  # nothing is cheaper without being worse


def test_a_model_over_a_strategy_that_has_to_be_asked_is_asked() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    base = ("MMR", Mmr("a", diversity=0.1).over(Nearest("a", limit=50)))
    tuning = tune(executor, topics, qrels, space=Space((Reranked((10,), (base,)),)), budget=READ)
    assert tuning.spent.requests == (2 + mmr_searches()) * len(topics)
    assert "reranker reads 10 of MMR" in tuning.values


def test_an_error_of_the_set_up_ends_it() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)
    with refused(QdrantRerankError, "there is none: pass reranker="):
        tune(
            Executor(executor.clients.sync(), "world"),
            topics,
            qrels,
            baseline=Rerank().over(Nearest("a")),
            space=SPACE,
            budget=READ,
        )


def test_an_async_executor_is_refused() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    wrong: Any = AsyncExecutor(executor.clients.sync(), "world")
    with refused(StrategyError, "tune needs an Executor, got AsyncExecutor"):
        tune(wrong, topics, qrels)


def test_progress_is_told_after_each_batch() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    told: list[tuple[int, int]] = []
    tune(executor, topics, qrels, space=SPACE, batch_size=15, progress=lambda done, total: told.append((done, total)))
    assert told == [(15, 40), (30, 40), (40, 40)]


def test_synthetic_topics_are_told() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    tuning = tune(executor, Topics(topics.items, synthetic=True), qrels, space=SPACE)
    assert tuning.synthetic
    assert "no evidence about real users" in tuning.reasons[-1]


def test_where_only_the_default_was_measured_it_is_kept() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    space = Space((Diverse((0.1,), "a"),))
    tuning = tune(executor, topics, qrels, space=space, budget=Budget(requests=80))
    assert tuning.reasons[0].startswith("Keep the default: none of 0 other configurations")
    assert tuning.detectable is None
    assert tuning.gain.estimate == 0.0
    with pytest.raises(KeyError):
        tuning["MMR 0.1 over the default"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"kind": "something else"}\n', "not a line of what tune keeps (another kind of file)"),
        ("not json\n", "not a line of what tune keeps"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, message: str) -> None:
    executor, topics, qrels = world((1.0, 1.0))
    (tmp_path / "candidates.jsonl").write_text(content, "utf-8")
    with refused(FormatError, message, "candidates.jsonl:1"):
        tune(executor, topics, qrels, space=SPACE, cache=tmp_path / "candidates.jsonl")

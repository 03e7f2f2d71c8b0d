"""Tuning's rarer ends: what is chosen though another is ahead, topics without relevant documents, what scorers refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from qdrant_rerank import Coefficients, Executor, Fusion, Nearest, RelevanceFeedback, Rerank, StrategyError
from qdrant_rerank._internals import Search
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.evaluate import Interval, Qrels, Topics
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import Target
from qdrant_rerank.tune import (
    Budget,
    Ceiling,
    Configuration,
    Effort,
    Grid,
    LeftOut,
    Option,
    Scorer,
    Setting,
    SingleCandidates,
    Space,
    Spent,
    TopicHits,
    Tuning,
    is_local,
    tune,
)
from qdrant_rerank.tune._internals import BudgetSpent, Meter, ScoreBook, reasons_of
from tests.evaluate.tuning_worlds import Reader, world
from tests.support import refused

SPACE = Space((SingleCandidates(),), depths=(50,))


# The advice


def row(name: str, mean: float, reads: int = 0) -> Configuration:
    return Configuration(name, "family", Nearest("a"), {}, mean, mean - 0.5, Effort(reads, 1, 1, 10), chosen=3)


def advised(chosen: Configuration, *others: Configuration, real: bool = True, **changes: Any) -> list[str]:
    """What is said of a choice, where the default has a mean of 0.5."""
    rows = [chosen, *others] if chosen.name == "default" else [row("default", 0.5), chosen, *others]
    tuning = Tuning(
        measure="RR",
        topics=tuple(map(str, range(40))),
        baseline=Nearest("a"),
        configurations=tuple(sorted(rows, key=lambda row: -row.mean)),
        chosen=chosen.name,
        recommended=real and chosen.name != "default",
        strategy=chosen.strategy,
        gain=Interval(0.1, 0.05, 0.15),
        p=0.002,
        split_gains=(0.1, -0.1, 0.2),
        topic_gains={},
        detectable=None,
        ceiling=Ceiling(1.0, 1.0, 1.0, {}, 10, "About the ceiling."),
        left_out=(),
        failed={},
        spent=Spent(0, 0, 0, 0.0),
        reasons=(),
        values={},
    )
    return list(reasons_of(replace(tuning, **changes), real))


def test_a_cheaper_choice_says_which_one_has_the_higher_mean() -> None:
    said = advised(row("cheap", 0.6), row("dear", 0.625, reads=50))
    assert said[0].startswith("Use cheap: ")
    assert "dear has a mean that is 0.0250 higher, which is within one standard error: the cheaper one is preferred." in said
    assert not any("higher, which is within" in reason for reason in advised(row("best", 0.6), row("other", 0.55)))


def test_a_real_gain_keeps_the_default_where_the_default_is_chosen_with_all_topics() -> None:
    kept = advised(row("default", 0.5), row("ahead", 0.51))
    assert kept[0].startswith("Keep the default: other configurations were ahead in some splits, but with all topics")
    unreal = advised(row("default", 0.5), row("ahead", 0.51), real=False)
    assert unreal[0].startswith("Keep the default: the best of 2 configurations, ahead, is ahead by 0.0100 RR")


@pytest.mark.parametrize(
    ("failed", "left_out", "expected"),
    [
        (1, 1, ["1 configuration was left out, x0: why.", "1 topic could not be searched for and is left out of everything."]),
        (
            3,
            2,
            [
                "2 configurations were left out, e.g. x0: why.",
                "3 topics could not be searched for and are left out of everything.",
            ],
        ),
    ],
)
def test_what_is_left_out_is_counted_in_words_that_fit(failed: int, left_out: int, expected: list[str]) -> None:
    missing = tuple(LeftOut(f"x{number}", "why") for number in range(left_out))
    said = advised(row("a", 0.6), failed=dict.fromkeys(map(str, range(failed)), "why"), left_out=missing)
    assert said[-2:] == expected


# Topics and candidates


def test_the_ceilings_recall_is_over_the_topics_that_have_relevant_documents() -> None:
    executor, topics, qrels = world((0.0, 0.0), count=30)
    grades = {topic: dict(qrels[topic]) for topic in topics.ids}
    grades["t0"] = dict.fromkeys(grades["t0"], 0)
    ceiling = tune(executor, topics, Qrels(grades), space=SPACE).ceiling
    assert (ceiling.recall, ceiling.candidate_recall) == (1.0, {"a": 1.0, "b": 1.0})
    assert ceiling.value == ceiling.perfect == pytest.approx(29 / 30)


def test_an_encoder_that_lacks_its_library_ends_the_tuning_with_its_own_error() -> None:
    executor, topics, qrels = world((1.0, 1.0))

    def lacking(text: str) -> list[float]:
        raise MissingExtra("FastembedDense", "fastembed")

    bare = Topics([replace(topic, vectors={}) for topic in topics])
    runner = Executor(executor.clients.sync(), "world", encoders=Encoders.of(dense=lacking))
    with refused(MissingExtra, "pip install 'qdrant-rerank[fastembed]'"):
        tune(runner, bare, qrels, space=SPACE)


# What can't be recomputed


def test_what_is_not_a_single_stage_is_not_recomputed() -> None:
    assert is_local(Fusion.rrf().over(Nearest("a"), Nearest("b")))
    assert not is_local(Rerank().over(Nearest("a")))


def test_relevance_feedback_is_put_to_qdrant_for_every_topic() -> None:
    executor, topics, qrels = world((1.0, 1.0), model=True)

    def feedback(seeds: int) -> RelevanceFeedback:
        return RelevanceFeedback(seeds=Nearest("a", limit=seeds), coefficients=Coefficients(1.0, 0.0, 0.0))

    space = Space((SingleCandidates(), Grid("feedback", feedback, {"seeds": [3]})), depths=(50,))
    tuning = tune(executor, topics, qrels, space=space, budget=Budget(model_texts=None))
    assert tuning.left_out == ()
    assert tuning.values["feedback seeds=3"] == tuning.values["a alone"]  # these coefficients say plain search
    assert tuning.spent.requests == 3 * len(
        topics
    )  # two candidates, and the first round, after which there is nothing to steer by


def test_a_grid_whose_function_makes_no_strategy_is_refused_with_its_values() -> None:
    executor, topics, qrels = world((1.0, 1.0))
    make: Any = "Nearest {n}".format
    odd = Grid("odd", make, {"n": [7]})
    with refused(StrategyError, "grid 'odd': make(**{'n': 7}) must return a strategy, got 'Nearest 7'"):
        tune(executor, topics, qrels, space=Space((odd,)))


# The scores


def book(limit: int | None = None) -> tuple[ScoreBook, list[tuple[str, str]]]:
    """A book of scores that may have so many texts read, and what its model has read."""
    executor, _, _ = world((1.0, 1.0), count=1)
    reader = Reader({"q": "right"})
    executor.reranker = reader
    return ScoreBook(executor, Meter(Budget(model_texts=limit))), reader.read


def test_a_text_that_was_read_is_not_read_again() -> None:
    scores, read = book()
    assert scores.score("q", ["right", "right"]) == [1.0, 1.0]
    assert scores.score("q", ["right"]) == [1.0]
    assert read == [("q", "right")]
    assert scores.meter.model_texts == 1


def test_texts_beyond_the_budget_are_not_read_at_all() -> None:
    scores, read = book(limit=2)
    scores.score("q", ["one"])
    with refused(BudgetSpent, "the model would have to read 2 texts, and 1 of the budget are left"):
        scores.score("q", ["two", "three"])
    assert read == [("q", "one")]
    scores.score("q", ["one", "two"])
    assert read == [("q", "one"), ("q", "two")]


@dataclass(frozen=True)
class Asking:
    """A family of one's own that ranks by what it asks of the scorer."""

    what: str
    name: str = "asking"

    def options(self, setting: Setting) -> Iterable[Option]:
        yield Option(self.what, Fusion.rrf().over(replace(setting.candidates[0], limit=50)), self.name)

    def rank(self, option: Option, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        hits = next(iter(topic_hits.candidates.values()))[:limit]
        if self.what == "embeds":
            scorer.embed([topic_hits.topic.text], frozenset({"a"}))
        elif self.what == "searches":
            scorer.search(Search([]))
        else:
            scorer.score(topic_hits.topic.text, [f"text {topic_hits.documents[hit.id][1:]}" for hit in hits])
        return hits


def reasons(what: str, budget: Budget) -> Iterator[tuple[str, int]]:
    """Why such a family is left out, and how many texts were read until then."""
    executor, topics, qrels = world((1.0, 1.0), model=True)
    tuning = tune(executor, topics, qrels, space=Space((SingleCandidates(), Asking(what)), depths=(50,)), budget=budget)
    assert tuning.spent.requests == 2 * len(topics)
    for each in tuning.left_out:
        assert each.name == what
        yield each.reason, tuning.spent.model_texts


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("embeds", "a ranking is recomputed from what the candidates found, without embedding anything"),
        ("searches", "a ranking is recomputed from what the candidates found, without searching anything"),
    ],
)
def test_a_family_that_asks_qdrant_while_it_recomputes_is_left_out_with_the_reason(what: str, reason: str) -> None:
    assert list(reasons(what, Budget())) == [(f"it fails on topic 't0': NotImplementedError: {reason}", 0)]


def test_a_family_that_has_more_read_than_the_budget_is_left_out_as_too_dear_not_as_failing() -> None:
    assert list(reasons("reads", Budget(model_texts=None))) == []
    [(reason, read)] = reasons("reads", Budget(model_texts=25))
    assert reason == "the model would have to read 10 texts, and 5 of the budget are left"
    assert read == 20

"""The parts of the fit: the loss, the folds, the comparisons, the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from qdrant_rerank import Coefficients
from qdrant_rerank._internals import normalise_text
from qdrant_rerank.evaluate import Interval
from qdrant_rerank.learn._internals import (
    Example,
    Examples,
    WayComparison,
    agreement,
    disagreement,
    fit_folds,
    formula_scores,
    train,
    unseen,
    verdict,
)

PLAIN = Coefficients(1.0, 0.0, 0.0)


def planted(queries: int, b: float, c: float, seed: int = 0) -> list[Example]:
    """Examples whose feedback scores of what isn't a seed are the formula's own, with these coefficients."""
    random = np.random.default_rng(seed)
    examples = []
    for number in range(queries):
        stored = random.standard_normal((30, 8))
        query = random.standard_normal(8)
        given = np.concatenate([random.exponential(2.0, 5), np.zeros(25)])
        example = Example(str(number), stored @ query, stored[:5] @ stored.T, given)
        formula = formula_scores(Examples.of([example]), 1.0, b, c)[0]
        examples.append(Example(example.query, example.similarity, example.to_seeds, np.concatenate([given[:5], formula[5:]])))
    return examples


# Training


@pytest.mark.parametrize(("b", "c"), [(0.0, 0.5), (1.0, 0.2)])
def test_coefficients_that_made_the_scores_are_found_again(b: float, c: float) -> None:
    found = train(planted(40, b, c), "recall")
    assert found.a == 1.0
    assert found.b == pytest.approx(b, abs=0.1)
    assert found.c == pytest.approx(c, rel=0.15)
    others = planted(20, b, c, seed=1)
    values = agreement(others, [found] * 20, "recall", 15)
    assert np.mean(values["feedback"]) > np.mean(values["plain"])


@pytest.mark.parametrize("mode", ["precision", "recall"])
def test_a_model_that_tells_nothing_apart_teaches_plain_search(mode: Any) -> None:
    flat = [
        Example(each.query, each.similarity, each.to_seeds, np.full(30, float(n))) for n, each in enumerate(planted(4, 0, 1))
    ]
    assert train(flat, mode) == PLAIN


def test_what_the_model_told_only_of_seeds_teaches_nothing_in_recall_mode() -> None:
    only = [
        Example(each.query, each.similarity, each.to_seeds, np.concatenate([each.scores[:5], np.zeros(25)]))
        for each in planted(4, 0.0, 1.0)
    ]
    assert train(only, "recall") == PLAIN
    assert train(only, "precision").c > 0.0


def test_queries_of_few_points_are_learned_from_beside_those_of_many() -> None:
    whole = planted(40, 1.0, 0.2)
    cut = [
        Example(each.query, each.similarity[:size], each.to_seeds[:, :size], each.scores[:size])
        for each, size in zip(whole, [30, 8] * 20, strict=True)
    ]
    assert train(cut, "recall").c == pytest.approx(0.2, rel=0.3)


# Folds


def test_each_query_is_judged_by_coefficients_of_all_the_others_folds() -> None:
    examples = planted(23, 1.0, 0.2)
    crossed = fit_folds(examples, "recall", 5)
    sizes = [list(crossed.unseen_by.values()).count(fold) for fold in range(5)]
    assert sorted(sizes) == [4, 4, 5, 5, 5]
    for fold, found in enumerate(crossed.folds):
        assert found == train([each for each in examples if crossed.unseen_by[each.query] != fold], "recall")
    assert len(set(crossed.folds)) == 5
    assert crossed.coefficients == train(examples, "recall")
    assert crossed.for_query("7") == crossed.folds[crossed.unseen_by["7"]]


def test_folds_are_shuffled_by_the_seed_alone() -> None:
    examples = planted(20, 1.0, 0.2)
    first = fit_folds(examples, "recall", 5, seed=1).unseen_by
    assert fit_folds(examples[::-1], "recall", 5, seed=1).unseen_by == first
    assert fit_folds(examples, "recall", 5, seed=2).unseen_by != first
    assert [first[str(n)] for n in range(5)] != [0, 1, 2, 3, 4]


def test_queries_that_say_the_same_are_in_one_fold() -> None:
    names = [f"query {n // 2}" if n % 2 else f"  QUERY   {n // 2} " for n in range(20)]
    examples = [
        Example(name, each.similarity, each.to_seeds, each.scores)
        for name, each in zip(names, planted(20, 1.0, 0.2), strict=True)
    ]
    crossed = fit_folds(examples, "recall", 5)
    assert all(crossed.unseen_by[one] == crossed.unseen_by[other] for one, other in zip(names[::2], names[1::2], strict=True))
    assert len(fit_folds(examples[:4], "recall", 5).folds) == 2
    assert normalise_text(" A\tb  C ") == "a b c"


# Judging


def test_reranking_reads_as_many_documents_as_feedback() -> None:
    example = Example("q", np.zeros(12), np.zeros((5, 12)), np.arange(12.0))
    found = agreement([example], [PLAIN], "precision", 5)
    assert found["plain"] < found["rerank"]
    assert agreement([example], [PLAIN], "recall", 12)["rerank"] == [pytest.approx(1.0)]


def test_in_mode_recall_nothing_counts_that_it_would_not_return() -> None:
    example = Example("q", np.zeros(12), np.zeros((2, 12)), np.array([0.0, 0.0, 0.0, 0.0, *range(8)]))
    assert agreement([example], [PLAIN], "recall", 4)["feedback"] == [0.0]


def test_every_example_is_judged_by_its_own_coefficients() -> None:
    examples = planted(2, 1.0, 0.5)
    right, wrong = Coefficients(1.0, 1.0, 0.5), Coefficients(0.0, 1.0, -1.0)
    for measure in (unseen, lambda each, weights: agreement(each, weights, "precision", 5)):
        first, second = measure(examples, [right, wrong])["feedback"]
        assert first == measure(examples[:1], [right])["feedback"][0] > measure(examples[:1], [wrong])["feedback"][0]
        assert second == measure(examples[1:], [wrong])["feedback"][0] < measure(examples[1:], [right])["feedback"][0]


def test_points_that_tie_stay_in_the_order_of_the_search() -> None:
    ties = Example("q", np.zeros(8), np.zeros((2, 8)), np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0]))
    assert unseen([ties], [PLAIN])["feedback"] == unseen([ties], [PLAIN])["plain"]
    assert agreement([ties], [PLAIN], "precision", 2)["feedback"] == agreement([ties], [PLAIN], "precision", 2)["plain"]
    flat = Example("q", np.zeros(8), np.zeros((2, 8)), np.ones(8))
    assert agreement([flat], [PLAIN], "recall", 4) == {"plain": [1.0], "rerank": [1.0], "feedback": [1.0]}


def test_disagreement_is_where_the_model_likes_another_point_best() -> None:
    def example(scores: Sequence[float]) -> Example:
        return Example("q", np.zeros(3), np.zeros((2, 3)), np.array(scores))

    assert disagreement([example([3, 1, 2]), example([2, 2, 1]), example([1, 1, 2]), example([0, 5, 0])]) == 0.5


def interval(low: float | None) -> Interval:
    """One that is above noise, if `low` is; its middle is 0.05 higher."""
    return Interval(0.0 if low is None else low + 0.05, low, None if low is None else low + 0.1, 0.95)


@pytest.mark.parametrize(
    ("over_plain", "over_rerank", "rerank_over_plain", "signal", "expected"),
    [
        (0.1, 0.1, 0.1, 0.1, "feedback"),
        (0.1, 0.1, -0.1, 0.1, "feedback"),
        (0.1, 0.1, 0.1, 0.0, "rerank"),  # without signal it is chance
        (0.1, 0.1, -0.1, -0.1, "rerank"),  # and if it is better, it's because the model reads
        (0.1, 0.0, 0.1, 0.1, "rerank"),
        (0.1, -0.01, 0.0, 0.1, "feedback"),  # likely better than what isn't proven itself
        (0.1, -0.05, 0.0, 0.1, "rerank"),  # as likely worse
        (0.0, 0.1, 0.1, 0.1, "rerank"),
        (0.0, 0.1, 0.0, 0.1, "plain"),
        (None, None, None, None, "plain"),
    ],
)
def test_feedback_is_recommended_where_it_is_proven_and_not_chance(
    over_plain: float | None, over_rerank: float | None, rerank_over_plain: float | None, signal: float | None, expected: str
) -> None:
    def made(measure: str, *lows: float | None) -> WayComparison:
        over_plain, over_rerank, reranked = map(interval, lows)
        return WayComparison(0.0, 0.0, 0.0, over_plain, over_rerank, reranked, measure)

    assert verdict(made("nDCG@10", over_plain, over_rerank, rerank_over_plain), made("unseen", signal, 0.0, 0.0)) == expected


def test_numbers_of_one_query_are_without_intervals() -> None:
    alone = WayComparison.of({"plain": [0.0], "rerank": [0.5], "feedback": [1.0]}, measure="R@10")
    assert alone.numbers() == {
        "plain": 0.0,
        "rerank": 0.5,
        "feedback": 1.0,
        "over_plain": 1.0,
        "over_rerank": 0.5,
        "rerank_over_plain": 0.5,
    }
    several = WayComparison.of({"plain": [0.0, 0.5], "rerank": [0.5, 0.5], "feedback": [1.0, 0.5]}, measure="R@10").numbers()
    assert several["over_plain low"] < several["over_plain"] < several["over_plain high"]

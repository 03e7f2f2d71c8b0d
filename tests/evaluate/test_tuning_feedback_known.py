"""Topics that coefficients were fitted to are told where feedback is tuned: what is measured on them flatters it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from qdrant_rerank import Coefficients, Nearest, PlanWarning, RelevanceFeedback
from qdrant_rerank._internals import MOST_HASHES, hashes_of
from qdrant_rerank.tune import Budget, Feedback, Space, Tuning, tune
from tests.evaluate.tasting_worlds import PRECISION, tasting


def tuned(*given: Any) -> Tuning:
    executor, topics, qrels = tasting()
    return tune(
        executor, topics, qrels, [Nearest("a")], space=Space((Feedback(given),), depths=(30,)), budget=Budget(model_texts=None)
    )


def fitted_to(*texts: str) -> Coefficients:
    return PRECISION.with_provenance(queries=hashes_of(texts))


def test_topics_that_the_coefficients_were_fitted_to_are_warned_of_once_and_noted() -> None:
    texts = [f"Question  {number}" for number in range(6)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tuning = tuned(fitted_to(*texts, "something else"))
    [warning] = [each.message for each in told if isinstance(each.message, PlanWarning)]
    said = (
        "the coefficients of feedback were fitted to 6 of the 30 topics (20%): what is measured flatters feedback; take topics"
    )
    assert str(warning).startswith(said)
    assert tuning.chosen == "feedback from a, 5 scored"
    assert str(warning) in tuning.recommendation
    assert {row.name for row in tuning.configurations if row.note} == {"feedback from a, 5 scored"}


def test_of_several_coefficients_those_that_know_topics_are_named() -> None:
    other = Coefficients(1.0, 0.0, 0.2, PRECISION.provenance)
    with pytest.warns(PlanWarning, match="the coefficients of feedback 2 were fitted to 1 of the 30 topics .3%."):
        tuning = tuned(other, fitted_to("question 0"))
    assert {row.name for row in tuning.configurations if row.note} == {"feedback 2 from a, 5 scored"}


def test_where_not_all_hashes_were_kept_the_number_is_the_least() -> None:
    many = fitted_to("question 0", "question 1", *(f"other {number}" for number in range(MOST_HASHES - 2)))
    with pytest.warns(PlanWarning, match="fitted to at least 2 of the 30 topics"):
        tuned(many)


def test_other_topics_and_numbers_from_elsewhere_are_not_warned_of() -> None:
    elsewhere = RelevanceFeedback(seeds=Nearest("a", limit=5), coefficients=Coefficients(1.0, 0.0, 0.2), trust=True)
    assert not any(row.note for row in tuned(fitted_to("question 31"), elsewhere).configurations)

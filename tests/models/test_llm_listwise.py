from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import windows
from qdrant_rerank.models import LlmListwise, LlmStats
from tests.models.llms import Scripted, documents


def sorts(prompt: str) -> str:
    """An LLM that puts documents in the order of the numbers that they are, largest first."""
    shown = documents(prompt)
    return f'{{"order": {sorted(shown, key=lambda number: -float(shown[number]))}}}'


def test_scores_are_ranks_from_1_down() -> None:
    model = LlmListwise(sorts)
    assert model.score("q", ["3", "9", "1", "5"]) == [0.5, 1.0, 0.25, 0.75]
    assert model.stats == LlmStats(calls=1)


async def test_async_gives_the_same_scores() -> None:
    async def awaited(prompt: str) -> str:
        return sorts(prompt)

    texts = [str(number * 7 % 31) for number in range(31)]
    assert await LlmListwise(awaited).ascore("q", texts) == LlmListwise(sorts).score("q", texts)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, []),
        (2, [(0, 2)]),
        (20, [(0, 20)]),
        (21, [(1, 21), (0, 11)]),
        (40, [(20, 40), (10, 30), (0, 20)]),
        (45, [(25, 45), (15, 35), (5, 25), (0, 15)]),
    ],
)
def test_windows_slide_from_the_end_to_the_first_text(count: int, expected: list[tuple[int, int]]) -> None:
    assert list(windows(count, 20, 10)) == expected


@given(st.integers(2, 200), st.integers(2, 30), st.data())
def test_windows_cover_all_texts_and_overlap(count: int, window: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(1, window - 1))
    found = list(windows(count, window, step))
    assert {place for start, end in found for place in range(start, end)} == set(range(count))
    assert found[0][1] == count
    assert found[-1][0] == 0
    assert all(2 <= end - start <= window for start, end in found)


@given(st.permutations(range(45)))
def test_the_best_of_a_long_list_rise_from_anywhere_to_the_top(numbers: list[int]) -> None:
    scores = LlmListwise(sorts).score("q", [str(number) for number in numbers])
    order = sorted(range(45), key=lambda place: -scores[place])
    assert [numbers[place] for place in order[:5]] == [44, 43, 42, 41, 40]  # the last overlap holds five
    assert sorted(scores) == sorted(1 - rank / 45 for rank in range(45))


def test_empty_texts_come_last_without_being_shown() -> None:
    seen = Scripted('{"order": [2, 1]}')
    model = LlmListwise(seen)
    assert model.score("q", ["", "a", " ", "b"]) == [0.5, 0.75, 0.25, 1.0]
    assert list(documents(seen.prompts[0]).values()) == ["a", "b"]
    assert model.stats == LlmStats(calls=1, empty=2)


def test_nothing_is_asked_about_fewer_than_two_texts() -> None:
    model = LlmListwise(Scripted(RuntimeError))
    assert model.score("q", ["a"]) == [1.0]
    assert model.score("q", [""]) == [1.0]
    assert model.score("q", []) == []
    assert model.stats.calls == 0


def test_an_answer_with_faults_is_put_right_and_each_fault_counted_once() -> None:
    model = LlmListwise(Scripted('{"order": [3, 3, 3, 9, "x"]}'))
    assert model.score("q", ["a", "b", "c"]) == [pytest.approx(2 / 3), pytest.approx(1 / 3), 1.0]
    assert model.stats == LlmStats(calls=1, bad={"duplicate": 1, "out_of_range": 1, "not_a_number": 1, "missing": 1})


def test_a_window_with_bad_answers_only_keeps_its_order() -> None:
    def prose_at_first(prompt: str) -> str:
        return "All are fine." if "4" in documents(prompt).values() else sorts(prompt)

    model = LlmListwise(prose_at_first, window=3, step=1)
    scores = model.score("q", ["1", "2", "3", "4"])
    assert sorted(range(4), key=lambda place: -scores[place]) == [2, 1, 0, 3]
    assert model.stats == LlmStats(calls=3, retried=1, unusable=1, bad={"prose": 2})


def test_on_bad_raise_says_what_the_llm_said() -> None:
    with pytest.raises(ScoringError, match=r"not an order of 2 documents \(prose\).*'All are fine\.'"):
        LlmListwise(Scripted("All are fine."), on_bad="raise").score("q", ["a", "b"])


def test_the_fingerprint_tells_the_window_but_not_how_failures_are_met() -> None:
    variants: list[dict[str, Any]] = [{}, {"window": 10, "step": 5}, {"step": 5}, {"max_chars": 9}, {"instructions": "a"}]
    prints = [LlmListwise(sorts, **settings).fingerprint for settings in variants]
    assert len(set(prints)) == len(prints)
    assert LlmListwise(sorts, on_bad="raise").fingerprint == prints[0]
    assert "window=20:step=10" in prints[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 1}, "window must be a whole number of at least 2, got 1"),
        ({"step": 0}, "the step of LlmListwise must be a whole number of at least 1, got 0"),
        ({"window": 10, "step": 10}, "step is less than window.*step=10, window=10"),
        ({"on_bad": "lowest"}, "on_bad is 'keep_order' or 'raise', not 'lowest'"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        LlmListwise(sorts, **settings)

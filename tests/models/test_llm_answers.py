from __future__ import annotations

import json
from typing import Any

import pytest

from qdrant_rerank._internals import Bad, Order, OrderAnswer, ScoreAnswer, read_order, read_score


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ('{"score": 7}', 7.0),
        (' {"score": 6.5, "why": "it says so"}\n', 6.5),
        ("7", 7.0),
        ("Score: 7.", 7.0),
        ("7/10", 7.0),
        ('```json\n{"score": 3}\n```', 3.0),
        ('Here it is: {"score": 0} as you asked.', 0.0),
        ('<think>Maybe {"score": 1}? No.</think>{"score": 9}', 9.0),
        ('{"score": 4} and once more {"score": 4}', 4.0),
        ('{"score": "8"}', 8.0),
        ({"score": 2}, 2.0),
        (ScoreAnswer(score=5), 5.0),
        (10, 10.0),
    ],
)
def test_a_score_is_read_from_structures_json_and_bare_numbers(answer: Any, score: float) -> None:
    assert read_score(answer, 0, 10) == score


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        (None, "empty"),
        ("<think>It is a 7.</think>", "empty"),
        ("The document speaks of 3 trains.", "prose"),
        ("I can't judge this.", "prose"),
        ("7/5", "prose"),
        ("[" * 100_000, "prose"),
        ("7" * 5000, "prose"),
        ('{"score": 11}', "out_of_range"),
        ('{"score": -1}', "out_of_range"),
        ('{"score": 1e999}', "out_of_range"),
        ('{"score": 1' + "0" * 400 + "}", "out_of_range"),
        ('{"score": NaN}', "not_a_number"),
        ('{"score": true}', "not_a_number"),
        ('{"score": "high"}', "not_a_number"),
        ('{"score": null}', "not_a_number"),
        ('{"score": [7]}', "not_a_number"),
        ({"relevance": 7}, "not_a_number"),
        (b"7", "not_a_number"),
        ('{"score": 1} or {"score": 9}', "ambiguous"),
    ],
)
def test_what_is_no_score_has_a_name(answer: Any, kind: str) -> None:
    found = read_score(answer, 0, 10)
    assert isinstance(found, Bad)
    assert found.kind == kind
    assert len(found.answer) <= 80


@pytest.mark.parametrize(
    "answer",
    [
        '{"order": [3, 1, 2]}',
        "[3, 1, 2]",
        '{"order": ["3", "[1]", 2.0]}',
        "[3] > [1] > [2]",
        "The order is 3 > 1 > 2.",
        '```json\n{"order": [3, 1, 2]}\n```',
        {"order": [3, 1, 2]},
        OrderAnswer(order=[3, 1, 2]),
    ],
)
def test_an_order_is_read_from_structures_json_and_chains(answer: Any) -> None:
    assert read_order(answer, 3) == Order([2, 0, 1], ())


@pytest.mark.parametrize(
    ("named", "positions", "faults"),
    [
        ([3], [2, 0, 1], ("missing",)),
        ([2, 2, 1, 3], [1, 0, 2], ("duplicate",)),
        ([0, 4, 3, 2, 1], [2, 1, 0], ("out_of_range", "out_of_range")),
        ([3, "first", None, True, 1.5, 2, 1], [2, 1, 0], ("not_a_number",) * 4),
        ([3, 3, 9], [2, 0, 1], ("duplicate", "out_of_range", "missing")),
    ],
)
def test_an_order_with_faults_is_put_right(named: list[Any], positions: list[int], faults: tuple[str, ...]) -> None:
    assert read_order({"order": named}, 3) == Order(positions, faults)
    assert read_order(json.dumps({"order": named}), 3) == Order(positions, faults)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "empty"),
        ('{"order": []}', "empty"),
        ("Document 3 is best, then 1.", "prose"),
        ('{"order": [7, 8]}', "out_of_range"),
        ('{"order": ["a"]}', "not_a_number"),
        ('{"order": 3}', "not_a_number"),
        ("3", "not_a_number"),
        ("[1] > [2], or rather [2] > [1]", "ambiguous"),
        ('{"order": [1]} or {"order": [2]}', "ambiguous"),
    ],
)
def test_what_is_no_order_has_a_name(answer: Any, kind: str) -> None:
    found = read_order(answer, 3)
    assert isinstance(found, Bad)
    assert found.kind == kind

"""Conditions decided for many points at once are decided as qdrant-client's local mode decides each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import models
from qdrant_client.local.payload_filters import check_condition

from qdrant_rerank._internals import Conditions, array_reader

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, -2.0, 2.0**53 + 2, 2**53 + 1, 10**400])
    | st.sampled_from(["a", "b", "1"])
)
_VALUES = _SCALARS | st.lists(_SCALARS, max_size=3) | st.just({"a": 1})
_KEYS = st.sampled_from(["x", "y", "deep.x"])
_BOUNDS = st.none() | st.sampled_from([-2.0, 0.5, 1.0, 2.0**53])
_PAYLOADS = st.dictionaries(st.sampled_from(["x", "y"]), _VALUES, max_size=2)
_DEEP = st.builds(lambda payload, deep: {**payload, "deep": deep}, _PAYLOADS, _PAYLOADS)
_OPERANDS = st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b", "1"])


def _field(**condition: Any) -> models.FieldCondition:
    return models.FieldCondition(**condition)


def _made(kind: Any, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(parts).map(lambda values: kind(**values))


_FIELDS = st.one_of(
    _made(_field, key=_KEYS, range=_made(models.Range, lt=_BOUNDS, lte=_BOUNDS, gt=_BOUNDS, gte=_BOUNDS)),
    _made(_field, key=_KEYS, match=_made(models.MatchValue, value=_OPERANDS)),
    st.builds(
        _field,
        key=_KEYS,
        match=_made(models.MatchAny, any=st.lists(st.integers(-3, 3)) | st.lists(st.sampled_from("ab"))),
    ),
    _made(_field, key=_KEYS, match=_made(models.MatchExcept, **{"except": st.lists(st.integers(-3, 3), min_size=1)})),
    _made(_field, key=_KEYS, values_count=_made(models.ValuesCount, lte=st.integers(0, 2))),
    _made(_field, key=_KEYS, is_empty=st.booleans()),
    _made(_field, key=_KEYS),
    _made(models.HasIdCondition, has_id=st.lists(st.integers(0, 3))),
    _made(models.HasVectorCondition, has_vector=st.sampled_from(["dense", "bm25"])),
)


def _filters(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[models.Filter]:
    clause = st.none() | inner | st.lists(inner, max_size=2)
    some = st.none() | inner | st.lists(inner, min_size=1, max_size=2)  # older local modes take no alternatives for none met
    least = _made(models.MinShould, conditions=st.lists(inner, min_size=1, max_size=3), min_count=st.integers(1, 2))
    return _made(models.Filter, must=clause, should=some, must_not=clause, min_should=st.none() | least)


@given(st.recursive(_FIELDS, _filters, max_leaves=6), st.lists(_PAYLOADS | _DEEP, min_size=1, max_size=4))
def test_every_condition_is_decided_as_local_mode_decides_it(condition: Any, payloads: list[dict[str, Any]]) -> None:
    vectors = [["dense"] if row % 2 else [] for row in range(len(payloads))]
    found = Conditions(payloads, range(len(payloads)), vectors).holds(condition)
    expected = [
        check_condition(condition, payload, row, dict.fromkeys(vectors[row], True)) for row, payload in enumerate(payloads)
    ]
    assert found.tolist() == expected


def test_an_empty_list_of_alternatives_demands_nothing_as_on_servers() -> None:
    assert Conditions([{}], range(1), None).holds(models.Filter(should=[])).tolist() == [True]


def test_a_key_is_read_once_for_all_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(key: str) -> Any:
        def values(payload: Any) -> Any:
            read.append(key)
            return array_reader(key)(payload)

        return values

    monkeypatch.setattr("qdrant_rerank.expressions.conditions.array_reader", noted)
    made = Conditions([{"x": 1.0}, {"x": 3.0}], range(2), None)
    for bound in range(20):
        assert made.holds(_field(key="x", range=models.Range(gt=float(bound)))).tolist() == [bound < 1, bound < 3]
    condition = _field(key="x", match=models.MatchValue(value=1))
    assert made.holds(condition) is made.holds(condition)
    assert read == ["x", "x"]  # one for each of two points


def test_whole_numbers_that_are_no_floats_are_compared_exactly() -> None:
    made = Conditions([{"x": 2**53}, {"x": 2**53 + 1}, {"x": 1.5}], range(3), None)
    assert made.holds(_field(key="x", range=models.Range(gt=2.0**53))).tolist() == [False, True, False]

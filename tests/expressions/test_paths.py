"""Payload paths are read as qdrant-client's local mode reads them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.local.payload_value_extractor import value_by_key

from qdrant_rerank._internals import reader

PATHS = ["a", "a.b", "a.b.c", '"a.b"', '"a".b', "a[]", "a[].b", "a[0]", "a[0].b", "b", "a.b[]"]

leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "a.b"]), inner, max_size=3),
    max_leaves=12,
)


@given(payload=st.dictionaries(st.sampled_from(["a", "b", "c", "a.b"]), values, max_size=4), path=st.sampled_from(PATHS))
def test_a_path_gives_the_values_that_local_mode_finds_there(payload: dict[str, Any], path: str) -> None:
    assert reader(path)(payload) == value_by_key(payload, path)


def test_payloads_of_any_mapping_are_read() -> None:
    assert reader("a.b")(MappingProxyType({"a": {"b": [1, 2]}})) == [1, 2]


def test_a_path_is_parsed_once() -> None:
    assert reader("x.y.z") is reader("x.y.z")


def test_a_path_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="path"):
        reader("a[")

"""How payload values look in a table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qdrant_rerank.cli.show import first_text, shown_value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "–"),
        (True, "true"),
        (3, "3"),
        (4.50, "4.5"),
        ("Orvena", "Orvena"),
        ({"lat": 46.0126, "lon": 8.5}, "46.0126, 8.5"),
        (["a", "ü"], '["a", "ü"]'),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_values_of_each_kind_are_readable(value: Any, says: str) -> None:
    assert shown_value(value) == says


def test_the_first_key_with_any_text_is_shown() -> None:
    payload = {"title": " ", "text": None, "page_content": "found"}
    assert first_text(payload, ["title", "text", "page_content"]) == "found"
    assert first_text(payload, ["title"]) == ""


def test_the_text_that_llama_index_hides_in_json_is_found() -> None:
    assert first_text({"_node_content": json.dumps({"text": "inside"})}, ["title", "text"]) == "inside"

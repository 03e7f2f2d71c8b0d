"""Which payload key is text and which are metadata; points without either."""

from __future__ import annotations

import json
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import PayloadMapping, PlanWarning
from qdrant_rerank._internals import PRESETS, Content, as_mapping, read_contents, value_at
from qdrant_rerank.errors import PayloadError
from tests.support import refused


def points(*payloads: dict[str, Any] | None) -> list[models.ScoredPoint]:
    return [models.ScoredPoint(id=number, version=0, score=1.0, payload=p) for number, p in enumerate(payloads, 1)]


NODE = json.dumps({"text": "t", "metadata": {}})
CONTENTS: dict[str, tuple[Any, dict[str, Any], str, dict[str, Any]]] = {
    "langchain": ("langchain", {"page_content": "t", "metadata": {"a": 1}, "x": 2}, "t", {"a": 1}),
    "langchain without metadata": ("langchain", {"page_content": "t"}, "t", {}),
    "langchain with metadata of null": ("langchain", {"page_content": "t", "metadata": None}, "t", {}),
    "flat": ("flat", {"text": "t", "a": 1, "b": [2]}, "t", {"a": 1, "b": [2]}),
    "llama_index": (
        "llama_index",
        {"_node_content": NODE, "_node_type": "TextNode", "doc_id": "d", "a": 1},
        "t",
        {"a": 1},
    ),
    "llama_index, newer nodes": ("llama_index", {"_node_content": '{"text_resource": {"text": "t"}}'}, "t", {}),
    "llama_index, no text": ("llama_index", {"_node_content": '{"text_resource": null}', "a": 1}, "", {"a": 1}),
    "llama_index, no JSON": ("llama_index", {"_node_content": "{", "a": 1}, "", {"a": 1}),
    "llama_index, null": ("llama_index", {"_node_content": None, "a": 1}, "", {"a": 1}),
    "a key of its own": (PayloadMapping("body"), {"body": "t", "text": "x"}, "t", {"text": "x"}),
    "a dotted key": (PayloadMapping("doc.body", "doc.meta"), {"doc": {"body": "t", "meta": {"a": 1}}}, "t", {"a": 1}),
    "a key with a dot in it": (PayloadMapping("doc.body"), {"doc.body": "t", "a": 1}, "t", {"a": 1}),
    "several keys": (PayloadMapping(("title", "body")), {"title": "T", "body": "b", "a": 1}, "T\n\nb", {"a": 1}),
    "several keys, one null": (PayloadMapping(("title", "body"), joiner=" "), {"title": None, "body": "b"}, "b", {}),
    "a list of keys": (PayloadMapping(["a", "b"], joiner="-"), {"a": "x", "b": "y"}, "x-y", {}),  # type: ignore[arg-type]
    "text that is a number": ("flat", {"text": 42}, "42", {}),
    "a function": (lambda payload: (payload["a"].upper(), {"n": 1}), {"a": "t"}, "T", {"n": 1}),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_text_and_metadata_are_found(what: str) -> None:
    mapping, payload, text, metadata = CONTENTS[what]
    assert as_mapping(mapping).content(payload) == Content(text, metadata)


@pytest.mark.parametrize("content", ["null", "[1]", '"text"', '{"text_resource": "t"}', {"text": "t"}])
def test_a_node_content_that_is_no_node_has_no_text(content: Any) -> None:
    assert PRESETS["llama_index"].content({"_node_content": content, "a": 1}) == Content("", {"a": 1})


def test_metadata_is_a_copy_that_may_be_changed() -> None:
    payload = {"page_content": "t", "metadata": {"tags": ["a"]}, "text": "t", "tags": ["a"]}
    for mapping in ("langchain", "flat"):
        as_mapping(mapping).content(payload).metadata["tags"].append("b")
    assert payload["metadata"] == {"tags": ["a"]}
    assert payload["tags"] == ["a"]


def test_a_mapping_stands_for_itself() -> None:
    mapping = PayloadMapping("body")
    assert as_mapping(mapping) is mapping
    assert as_mapping("llama_index") is PRESETS["llama_index"]


def test_a_value_is_found_by_its_key_or_its_path() -> None:
    payload = {"a": {"b": {"c": 1}, "d": None}, "a.b": 2}
    assert value_at(payload, "a.b") == 2
    assert value_at(payload, "a.b.c") == 1
    assert value_at(payload, "a.d", "default") is None
    assert value_at(payload, "a.b.c.d", "default") == value_at(payload, "x", "default") == "default"


def test_payload_without_the_text_key_in_any_point_is_an_error_that_shows_the_keys() -> None:
    parts = (
        "none of the 2 points found in 'docs' has text under 'page_content'",
        "their payload has 'a', 'body'",
        "payload='langchain'",
    )
    with refused(PayloadError, *parts):
        read_contents(points({"body": "x"}, {"body": "y", "a": 1}), as_mapping("langchain"), "docs")
    with refused(PayloadError, "under 'title' or 'abstract'"):
        read_contents(points({"body": "x"}, None), PayloadMapping(("title", "abstract")), "docs")


def test_some_points_without_text_are_named_in_a_warning() -> None:
    found = points({"text": "a"}, {"text": None}, None, {"a": 1}, {"text": ""})
    with pytest.warns(PlanWarning, match=r"points without text in 'docs': 2, 3, 4, 5; their text is empty"):
        contents = read_contents(found, as_mapping("flat"), "docs")
    assert [content.text for content in contents] == ["a", "", "", "", ""]


def test_many_points_without_text_are_counted() -> None:
    with pytest.warns(PlanWarning, match=r"'docs': 2, 3, 4, 5, 6 and 4 more; their text is empty"):
        read_contents(points({"text": "a"}, *[{"a": 1}] * 9), as_mapping("flat"), "docs")


def test_points_without_any_payload_are_no_wrong_mapping() -> None:
    with pytest.warns(PlanWarning, match="points without text"):
        assert read_contents(points(None, {}), as_mapping("flat"), "docs") == [Content("", {}), Content("", {})]


def test_a_null_text_everywhere_is_no_wrong_mapping() -> None:
    with pytest.warns(PlanWarning, match="points without text in 'docs': 1"):
        assert read_contents(points({"text": None}), as_mapping("flat"), "docs") == [Content("", {})]


def test_a_function_is_not_second_guessed() -> None:
    with pytest.warns(PlanWarning, match="points without text"):
        assert read_contents(points({"a": 1}), as_mapping(lambda payload: ("", dict(payload))), "docs") == [
            Content("", {"a": 1})
        ]


def test_llama_index_payload_is_known_by_its_node_content() -> None:
    with refused(PayloadError, "has text under '_node_content'"):
        read_contents(points({"text": "t"}), as_mapping("llama_index"), "docs")


def test_no_points_are_no_problem() -> None:
    assert read_contents([], as_mapping("flat"), "docs") == []


def test_the_warning_points_at_the_code_that_asked() -> None:
    def adapter() -> None:
        read_contents(points({"text": ""}), as_mapping("flat"), "docs")

    def framework() -> None:
        adapter()

    with pytest.warns(PlanWarning) as caught:
        framework()
    assert caught[0].filename == __file__

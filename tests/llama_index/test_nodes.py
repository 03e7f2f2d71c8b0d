"""Points become nodes as LlamaIndex's own store makes them, each point by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.schema import ImageNode, IndexNode, MetadataMode, Node, NodeWithScore, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import models

from llama_index_qdrant_rerank._internals import NodeReader
from qdrant_rerank import PayloadMapping, PlanWarning, StrategyError
from qdrant_rerank.errors import PayloadError
from tests.engines import open_client
from tests.llama_index.stores import node


def points(*payloads: Any) -> list[models.ScoredPoint]:
    return [
        models.ScoredPoint(id=number, version=0, score=1.0 - number / 10, payload=payload)
        for number, payload in enumerate(payloads)
    ]


def read(found: list[models.ScoredPoint], text_key: str = "text", **reader: Any) -> list[NodeWithScore]:
    return NodeReader(**reader).read(found, text_key, "docs")


def own(found: list[models.ScoredPoint], text_key: str = "text") -> list[dict[str, Any]]:
    """What LlamaIndex's store makes of the points."""
    store = QdrantVectorStore("docs", client=open_client(), text_key=text_key)
    return [each.to_dict() for each in store.parse_to_query_result(found).nodes or []]


def dicts(found: list[NodeWithScore]) -> list[dict[str, Any]]:
    return [each.node.to_dict() for each in found]


LEGACY = {
    "text": "from long ago",
    "node_info": json.dumps({"start": 3, "end": 16}),
    "relationships": json.dumps({"1": "doc1"}),
    "doc_id": "doc1",
    "year": 2022,
}


@pytest.mark.parametrize(
    "kind",
    [node(1), IndexNode(text="a pointer", index_id="x"), ImageNode(text="a picture", image_url="http://x/y.png"), Node()],
    ids=lambda kind: kind.class_name(),
)
def test_every_kind_of_node_comes_back_as_the_store_gives_it(kind: Any) -> None:
    found = points(node_to_metadata_dict(kind))
    assert dicts(read(found)) == own(found)
    assert type(read(found)[0].node) is type(kind)


def test_points_of_the_old_format_come_back_as_the_store_gives_them() -> None:
    found = points(LEGACY, {"text": "by hand", "year": 2023})
    assert dicts(read(found)) == own(found)
    assert [each.node.get_content() for each in read(found)] == ["from long ago", "by hand"]


def test_points_with_another_text_key_come_back_as_the_store_gives_them() -> None:
    found = points({"body": "by hand", "year": 2023})
    assert dicts(read(found, "body")) == own(found, "body")


def test_each_point_falls_back_by_itself() -> None:
    whole = node_to_metadata_dict(node(2))
    found = points(whole, LEGACY, {"text": "by hand", "_node_content": "{broken"}, whole)
    assert [type(each.node) for each in read(found)] == [TextNode] * 4
    assert [each.text for each in read(found)] == [node(2).text, "from long ago", "by hand", node(2).text]
    assert dicts(read(found))[:2] == own(found)[:2]
    assert read(found)[2].metadata == {}


def test_keys_that_only_look_like_the_old_format_are_metadata() -> None:
    [found] = read(points({"text": "by hand", "relationships": ["friend"], "node_info": 5}))
    assert (found.text, found.metadata) == ("by hand", {"relationships": ["friend"], "node_info": 5})


def test_a_point_without_text_among_others_gets_an_empty_one_and_a_warning() -> None:
    found = points(node_to_metadata_dict(node(2)), {"year": 2023}, None, {"text": None})
    with pytest.warns(PlanWarning, match="points without text in 'docs': 1, 2, 3; their text is empty"):
        nodes = read(found)
    assert [each.text for each in nodes] == [node(2).text, "", "", ""]
    assert nodes[1].metadata == {"year": 2023}


def test_a_collection_without_any_text_says_where_the_text_might_be() -> None:
    found = points({"page_content": "x", "metadata": {}})
    with pytest.raises(
        PayloadError, match=r"has text under '_node_content' or 'text'; their payload has 'metadata', 'page_content'"
    ):
        read(found)


def test_other_collections_are_read_by_their_mapping() -> None:
    [langchain] = read(points({"page_content": "x", "metadata": {"a": 1}}), payload="langchain")
    assert (langchain.node.node_id, langchain.text, langchain.metadata, langchain.score) == ("0", "x", {"a": 1}, 1.0)
    [mapped] = read(points({"title": "t", "body": "b", "n": 1}), payload=PayloadMapping(text=("title", "body")))
    assert (mapped.text, mapped.metadata) == ("t\n\nb", {"n": 1})
    [by_function] = read(points({"t": "x"}), payload=lambda payload: (payload["t"].upper(), {}))
    assert by_function.text == "X"


def test_an_unknown_preset_is_refused_at_once() -> None:
    with pytest.raises(StrategyError, match=r"no payload preset 'llamaindex'.*did you mean 'llama_index'"):
        NodeReader("llamaindex")


def test_metadata_isnt_shared_with_the_payload() -> None:
    payload: dict[str, Any] = {"text": "x", "tags": ["a"]}
    for reader in ("llama_index", "flat"):
        [found] = read(points(payload), payload=reader)
        found.metadata["tags"].append("b")
    assert payload["tags"] == ["a"]


def test_no_score_is_in_the_metadata_unless_asked_for_and_then_no_model_sees_it() -> None:
    payload = node_to_metadata_dict(node(2))
    assert read(points(payload))[0].metadata == node(2).metadata
    for found in read(points(payload, {"text": "by hand"}), score_key="score"):
        assert found.metadata["score"] == found.score
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert "score" not in found.get_content(mode)
    assert read(points(payload), score_key="score")[0].node.excluded_llm_metadata_keys == ["day", "score"]


def test_scores_are_plain_floats_that_json_takes() -> None:
    import numpy as np

    point = points(node_to_metadata_dict(node(2)))[0].model_copy(update={"score": np.float32(0.5)})
    [found] = read([point])
    assert type(found.score) is float
    assert json.loads(found.to_json())["score"] == 0.5


def test_a_score_of_zero_stays_as_good_as_zero_on_a_node_that_leads_to_an_object() -> None:
    pointer = IndexNode(text="a pointer", index_id="x")
    point = points(node_to_metadata_dict(pointer), node_to_metadata_dict(node(1)))
    zero, plain = read([each.model_copy(update={"score": 0.0}) for each in point])
    assert plain.score == 0.0
    assert zero.score
    assert zero.score < 1e-300

"""Vectors added to a collection that is there: what they are made of, what is left as it is, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Nearest, PlanError, Query, ServerInference, StrategyError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError, IngestError, PayloadError, PlanWarning
from qdrant_rerank.ingest import add_vectors
from qdrant_rerank.models import Bm25, Encoders
from tests.engines import open_client
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters, Silent, Words
from tests.stub_qdrant import Received, collection


def fill(client: QdrantClient, texts: list[Any], start: int = 0) -> None:
    """Store points as langchain-qdrant does, with an unnamed vector alone."""
    if not client.collection_exists("mine"):
        client.create_collection("mine", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    points = [
        models.PointStruct(
            id=number, vector={"": [1.0, number]}, payload={"page_content": text, "metadata": {"number": number}}
        )
        for number, text in enumerate(texts, start)
    ]
    client.upsert("mine", points)


def lacking(client: QdrantClient, name: str) -> list[Any]:
    """The ids of the points without a vector of this name."""
    none = models.Filter(must_not=[models.HasVectorCondition(has_vector=name)])
    return [record.id for record in client.scroll("mine", none, limit=100)[0]]


def test_points_of_another_writer_are_found_by_their_words_afterwards(empty: QdrantClient) -> None:
    fill(empty, [f"train {number}" for number in range(25)])
    before = empty.scroll("mine", limit=100, with_vectors=True)[0]
    seen: list[tuple[str, int]] = []

    report = add_vectors(
        empty, "mine", {"bm25": Bm25()}, payload="langchain", batch_size=10, on_progress=lambda *told: seen.append(told)
    )

    assert report.done == ("gave the collection 'mine' the vector 'bm25' (sparse, IDF)",)
    assert (report.written, report.empty) == ({"bm25": 25}, ())
    assert seen == [("bm25", 10), ("bm25", 20), ("bm25", 25)]
    after = empty.scroll("mine", limit=100, with_vectors=[""])[0]
    assert [(each.id, each.payload) for each in after] == [(each.id, each.payload) for each in before]
    executor = Executor(empty, "mine", encoders=Encoders.of({"bm25": Bm25()}), payload="langchain")
    [found] = executor.retrieve(Nearest("bm25"), Query("17"))
    assert found.id == 17


def test_a_second_run_fills_in_what_others_have_written_since(empty: QdrantClient) -> None:
    fill(empty, ["aa", "bb"])
    add_vectors(empty, "mine", {"letters": Letters()}, payload="langchain")
    fill(empty, ["cc"], start=2)
    assert lacking(empty, "letters") == [2]
    encoder = Letters()

    report = add_vectors(empty, "mine", {"letters": encoder}, payload="langchain")

    assert (report.done, report.written, encoder.texts) == ((), {"letters": 1}, ["cc"])
    assert lacking(empty, "letters") == []


def test_after_an_encoder_failed_a_second_run_goes_on(empty: QdrantClient) -> None:
    fill(empty, ["a", "b", "c", "poison"])
    with pytest.raises(IngestError, match="the encoder for 'letters' failed on a batch of 2 documents: 2, 3"):
        add_vectors(empty, "mine", {"letters": Letters()}, payload="langchain", batch_size=2)
    assert lacking(empty, "letters") == [2, 3]


def test_points_without_text_are_named_and_left(empty: QdrantClient) -> None:
    fill(empty, ["a", None, " ", "b"])

    report = add_vectors(empty, "mine", {"words": Words(), "letters": Letters()}, payload="langchain")

    assert (report.written, report.empty) == ({"words": 2, "letters": 2}, (1, 2))
    assert lacking(empty, "words") == lacking(empty, "letters") == [1, 2]


def test_a_text_of_stop_words_gets_no_vector(empty: QdrantClient) -> None:
    fill(empty, ["the", "the train"])

    report = add_vectors(empty, "mine", {"bm25": Bm25()}, payload="langchain")

    assert (report.written, report.empty, lacking(empty, "bm25")) == ({"bm25": 1}, (0,), [0])


def test_an_empty_collection_gets_the_vector_too(empty: QdrantClient) -> None:
    empty.create_collection("mine", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))

    report = add_vectors(empty, "mine", {"bm25": Bm25()})

    assert (len(report.done), report.written) == (1, {"bm25": 0})


def test_multivectors_get_no_graph(empty: QdrantClient, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(empty, ["a", "b"])
    asked: list[Any] = []  # local mode has no graphs
    monkeypatch.setattr(empty, "update_collection", lambda *arguments, **named: asked.append((arguments, named)))
    late = Silent([[1.0, 0.0], [0.0, 1.0]])

    report = add_vectors(empty, "mine", {"late": late, "bm25": Bm25()}, payload="langchain", multivectors=["late"])

    assert report.done[0] == "gave the collection 'mine' the vector 'late' (multivector of 2-d, Cosine)"
    [(arguments, named)] = asked
    assert (arguments, named["vectors_config"]["late"].hnsw_config.m) == (("mine",), 0)


def test_nothing_is_made_where_no_point_has_text_there(empty: QdrantClient) -> None:
    fill(empty, ["a"])
    with pytest.raises(PayloadError, match="has text under 'text'; their payload has 'metadata', 'page_content'"):
        add_vectors(empty, "mine", {"bm25": Bm25()})
    assert empty.get_collection("mine").config.params.sparse_vectors is None


def test_points_that_are_all_without_text_are_told(empty: QdrantClient) -> None:
    fill(empty, [None])
    with pytest.warns(PlanWarning, match="points without text in 'mine': 0"):
        report = add_vectors(empty, "mine", {"bm25": Bm25()}, payload="langchain")
    assert report.empty == (0,)


@pytest.mark.parametrize(
    ("encoders", "error", "message"),
    [
        ({}, StrategyError, "there is nothing to add"),
        ({"": Letters(2)}, None, ""),  # which the collection has, and every point, too
        ({"": Letters(3)}, PlanError, r"the vector '' of 'mine' is dense 2-d, Dot, but its encoder makes dense, 3 numbers"),
        ({"new": ServerInference("model")}, StrategyError, "the encoder for 'new' leaves embedding to the server"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(
    empty: QdrantClient, encoders: Any, error: Any, message: str
) -> None:
    fill(empty, ["a"])
    if error is None:
        assert add_vectors(empty, "mine", encoders, payload="langchain").written == {"": 0}
        return
    with pytest.raises(error, match=message):
        add_vectors(empty, "mine", encoders, payload="langchain")


def test_a_new_vector_needs_a_name(client: QdrantClient) -> None:
    with pytest.raises(PlanError, match="a vector that is added needs a name"):
        add_vectors(client, "docs", {"": Letters()})


@pytest.mark.parametrize("size", [0, 2.5, "many"])
def test_a_batch_has_a_whole_number_of_points(client: QdrantClient, size: Any) -> None:
    with pytest.raises(StrategyError, match="batch_size must be a whole number of at least 1"):
        add_vectors(client, "docs", {"bm25": Bm25()}, batch_size=size)


def test_a_server_that_is_too_old_is_told() -> None:
    with FillableStub(version="1.17.2", collections={"docs": collection(dense={"dense": 4})}) as old:
        with pytest.raises(PlanError, match=r"adds vectors \('bm25'\) to a collection since 1\.18; this is Qdrant 1\.17\.2"):
            add_vectors(client_of(old), "docs", {"bm25": Bm25()})
        assert old.written == []


def test_a_client_that_is_too_old_is_told(empty: QdrantClient, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(empty, ["a"])
    for kind in type(empty).__mro__:
        if "create_vector_name" in vars(kind):
            monkeypatch.delattr(kind, "create_vector_name")
    with pytest.raises(PlanError, match=r"qdrant-client adds vectors \('bm25'\) to a collection since 1\.18"):
        add_vectors(empty, "mine", {"bm25": Bm25()}, payload="langchain")


class ByTenant(FillableStub):
    """A server with a custom-sharded collection, and one point for each shard key."""

    def answer(self, request: Received) -> tuple[int, Any]:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["collections", _, "cluster"]:
                shards = [{"shard_id": n, "shard_key": key, "points_count": 1, "state": "Active"} for n, key in enumerate("ab")]
                told = {"peer_id": 1, "shard_count": 2, "local_shards": shards, "remote_shards": [], "shard_transfers": []}
                return 200, {"result": told}
            case "POST", [*_, "scroll"]:
                number = 1 if request.body["shard_key"] == "a" else 2
                return 200, {"result": {"points": [{"id": number, "payload": {"text": "a train"}}], "next_page_offset": None}}
            case "PUT", [*_, "vectors"]:
                super().answer(request)
                return 200, {"result": {"operation_id": 1, "status": "completed"}}
            case "PUT", [*_, "vectors", _]:
                return 200, {"result": {"operation_id": 1, "status": "completed"}}
            case _:
                return super().answer(request)


def test_each_shard_key_s_points_are_written_to_its_shard() -> None:
    sharded: Any = collection(dense={"dense": 4})
    sharded["config"]["params"]["sharding_method"] = "custom"
    with ByTenant(collections={"docs": sharded}) as server:
        report = add_vectors(client_of(server), "docs", {"bm25": Bm25()})
        assert report.written == {"bm25": 2}
        written = [body for path, body in server.written if path.endswith("/points/vectors")]
        assert [(each["shard_key"], [point["id"] for point in each["points"]]) for each in written] == [("a", [1]), ("b", [2])]


# On the engine in process


def test_edge_keeps_an_added_vector_when_it_is_opened_again(tmp_path: Path) -> None:
    client = EdgeClient(tmp_path)
    fill(client, [f"train {number}" for number in range(9)])
    late = Silent([[1.0, 0.0], [0.0, 1.0]])
    add_vectors(client, "mine", {"bm25": Bm25(), "late": late}, payload="langchain", multivectors=["late"])
    client.close()

    again = EdgeClient(tmp_path)
    encoders = Encoders.of({"bm25": Bm25(), "late": late})
    executor = Executor(again, "mine", encoders=encoders, payload="langchain")
    assert [found.id for found in executor.retrieve(Nearest("bm25"), Query("7"))] == [7]
    assert len(executor.retrieve(Nearest("late"), Query("7"))) == 9
    again.close()


def test_edge_says_what_a_new_vector_is_made_of(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        fill(client, ["a"])
        with pytest.raises(ClientError, match=r"a new vector is a models\.SparseVectorNameConfig or"):
            client.create_vector_name("mine", "new", {"size": 3})
        config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
        with pytest.raises(ClientError, match="can't honour ordering"):
            client.create_vector_name("mine", "new", config, ordering=models.WriteOrdering.STRONG)


def test_it_runs_on_the_engine_of_the_run() -> None:
    client = open_client()
    fill(client, ["one train", "two trains"])
    assert add_vectors(client, "mine", {"bm25": Bm25()}, payload="langchain").written == {"bm25": 2}

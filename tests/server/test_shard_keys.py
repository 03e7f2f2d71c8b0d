"""Collections whose shards the user names: filled and searched by key; needs a server in distributed mode."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Formula, Fusion, Nearest, Query, SearchOptions, field, score
from qdrant_rerank.ingest import Document, ingest
from qdrant_rerank.models import Bm25
from tests.cli.support import run
from tests.engines import Engine, on_server, open_client
from tests.support import COLLECTION, QUERY, encoders, ids, toy_config, toy_points

STRATEGIES = {
    "nearest": Nearest("dense"),
    "fused": Fusion.rrf().over(Nearest("dense", limit=20), Nearest("bm25", limit=20)),
    "a formula": Formula(score() + field("popularity", default=0)).over(Nearest("dense", limit=24)),
}
DOCUMENTS = [Document(f"d{number}", f"note {number} of a ferry", {"number": number}) for number in range(12)]


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[QdrantClient]:
    """The toy collection over two named shards: even points are of one, odd points of the other."""
    made = open_client()
    try:
        made.create_collection(COLLECTION, **toy_config(), sharding_method=models.ShardingMethod.CUSTOM)
        for key in ("even", "odd"):
            made.create_shard_key(COLLECTION, key, timeout=60)
    except Exception as error:
        if "istributed" in str(getattr(error, "content", error)):
            pytest.skip("shard keys need a server in distributed mode")
        raise
    for key, rest in (("even", 0), ("odd", 1)):
        made.upsert(COLLECTION, [point for point in toy_points() if int(point.id) % 2 == rest], shard_key_selector=key)
    yield made
    made.close()


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.filterwarnings("ignore::qdrant_rerank.PlanWarning")
async def test_a_search_by_key_finds_that_key_s_points_only(client: QdrantClient, name: str) -> None:
    executor = Executor(client, COLLECTION, encoders=encoders())
    asynchronous = AsyncExecutor(client, COLLECTION, encoders=encoders())
    for key, rest in (("even", 0), ("odd", 1)):
        options = SearchOptions(24, shard_key_selector=key)
        found = ids(executor.retrieve(STRATEGIES[name], Query(QUERY), options))
        assert {id % 2 for id in found} == {rest}
        assert sorted(ids(await asynchronous.retrieve(STRATEGIES[name], Query(QUERY), options))) == sorted(found)
        grouped = ids(
            executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(24, shard_key_selector=key, group_by="doc"))
        )
        assert {id % 2 for id in grouped} == {rest}


def test_without_a_key_all_are_searched(client: QdrantClient) -> None:
    executor = Executor(client, COLLECTION, encoders=encoders())
    found: list[Any] = ids(executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(24)))
    assert sorted(found) == list(range(1, 25))


def stored_by_key(client: QdrantClient, collection: str, key: str) -> set[str]:
    """The ids of the documents that are on a shard."""
    points, _ = client.scroll(collection, limit=50, shard_key_selector=key)
    return {str((point.payload or {})["_id"]) for point in points}


def custom(client: QdrantClient, name: str) -> str:
    """A collection for words, of two named shards."""
    client.create_collection(
        name,
        vectors_config={},
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        sharding_method=models.ShardingMethod.CUSTOM,
    )
    for key in ("north", "south"):
        client.create_shard_key(name, key, timeout=60)  # 10 s unless told: a busy server needs more
    return name


def test_documents_go_to_the_shard_of_a_key_and_are_skipped_by_it(client: QdrantClient) -> None:
    collection, words = custom(client, "by_key"), {"bm25": Bm25()}
    assert ingest(client, collection, DOCUMENTS[:8], words, shard_key="north", batch_size=3).written == 8
    assert ingest(client, collection, DOCUMENTS[8:], words, shard_key="south").written == 4
    assert stored_by_key(client, collection, "north") == {document.id for document in DOCUMENTS[:8]}
    assert stored_by_key(client, collection, "south") == {document.id for document in DOCUMENTS[8:]}
    again = ingest(client, collection, DOCUMENTS[:9], words, shard_key="north")
    assert (again.written, again.skipped) == (1, 8)  # d8 is on the other shard: of this one it is new
    found = Executor(client, collection, encoders=words).retrieve(
        Nearest("bm25"), Query("a ferry"), SearchOptions(20, shard_key_selector="south")
    )
    assert {(point.payload or {})["_id"] for point in found} == {document.id for document in DOCUMENTS[8:]}


def test_a_shard_key_that_is_not_there_and_one_that_is_missing_are_the_server_s_errors(client: QdrantClient) -> None:
    collection, words = custom(client, "no_key"), {"bm25": Bm25()}
    with pytest.raises(Exception, match="west") as caught:  # of qdrant-client or grpc
        ingest(client, collection, DOCUMENTS, words, shard_key="west", retries=0)
    assert any("no_key" in note for note in getattr(caught.value, "__notes__", []))
    with pytest.raises(Exception, match=r"(?i)shard key"):
        ingest(client, collection, DOCUMENTS, words, retries=0, resume=False)
    assert client.count(collection).count == 0


def test_the_command_fills_the_shard_that_it_is_told(client: QdrantClient, tmp_path: Path) -> None:
    collection = custom(client, "command")
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"_id": document.id, "text": document.text}) + "\n" for document in DOCUMENTS))
    where = ("--url", os.environ["QDRANT_URL"], "--collection", on_server(client, collection), "--sparse", "bm25")
    for done in ("12 documents written", "0 documents written"):
        ran = run("index", corpus, *where, "--shard-key", "south", env={"QDRANT_API_KEY": os.environ.get("QDRANT_API_KEY")})
        assert ran.code == 0, ran.all
        assert done in ran.all
    assert len(stored_by_key(client, collection, "south")) == 12
    assert stored_by_key(client, collection, "north") == set()

"""What is written stays, whatever becomes of the process; and a collection on disk has one owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import PlanError, QueryError
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError, EngineError
from qdrant_rerank.planning import read_schema
from tests.edge.support import NAME, awkward_points, config, edge_client, pairs, query_vectors
from tests.waiting import PATIENCE

FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)

WRITES_THEN_WAITS = """
import sys, time
from qdrant_client import models
from qdrant_rerank.edge import EdgeClient

client = EdgeClient(sys.argv[1])
client.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.DOT), metadata={"made": "here"})
client.create_payload_index("docs", "n", "integer")
points = [models.PointStruct(id=n, vector=[float(n), 1.0], payload={"n": n}) for n in range(500)]
for start in range(0, 500, 50):
    client.upsert("docs", points[start : start + 50], wait=False)
client.delete("docs", [499])
client.set_payload("docs", {"late": True}, [3])
print("written", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path) -> Any:
    """Another process that has written a collection and holds it open."""
    process = subprocess.Popen([sys.executable, "-c", WRITES_THEN_WAITS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    yield process
    process.kill()
    process.communicate()


def test_what_was_written_survives_kill_9(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with EdgeClient(tmp_path) as client:
        assert client.count("docs").count == 499
        info = client.get_collection("docs")
        assert {key: index.data_type.value for key, index in info.payload_schema.items()} == {"n": "integer"}
        assert client.retrieve("docs", [3])[0].payload == {"n": 3, "late": True}
        assert [point.id for point in client.query_points("docs", query=[1.0, 0.0], limit=3).points] == [498, 497, 496]


def test_a_second_process_is_told_that_the_collection_is_in_use(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with EdgeClient(tmp_path) as client:
        assert client.collection_exists("docs")  # looking at the folder opens nothing
        for call in (lambda: client.count("docs"), lambda: client.delete_collection("docs")):
            with pytest.raises(ClientError, match=r"another EdgeClient has the collection open.*one owner"):
                call()
        other.kill()
        other.wait()
        assert client.count("docs").count == 499


def test_a_second_client_in_this_process_is_told_so_too(tmp_path: Path) -> None:
    with edge_client(tmp_path) as first, EdgeClient(tmp_path) as second:
        with pytest.raises(ClientError, match=f"opening {tmp_path / NAME} failed: another process"):
            second.count(NAME)
        second.create_collection("beside", FLAT)  # collections are owned one by one
        first.close()
        assert second.count(NAME).count == len(awkward_points())


def test_all_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    with edge_client(tmp_path) as client:
        client.create_payload_index(NAME, "price.eur", models.PayloadSchemaType.INTEGER)
        client.update_collection(NAME, metadata={"encoder": "hash"})
        before = read_schema(client, NAME)
        ranked = rankings(client)
        listed = client.scroll(NAME, limit=100, with_vectors=True)[0]
    with EdgeClient(tmp_path) as client:
        assert read_schema(client, NAME) == before
        assert rankings(client) == ranked
        assert client.scroll(NAME, limit=100, with_vectors=True)[0] == listed
        assert client.get_collection(NAME).config.metadata == {"encoder": "hash"}


def rankings(client: EdgeClient) -> list[Any]:
    v = query_vectors()
    return [pairs(client.query_points(NAME, query=v[name], using=name).points) for name in ("dense", "late", "idf")]


def test_a_point_refused_in_a_batch_harms_nothing_when_the_log_is_replayed(tmp_path: Path) -> None:
    """The engine itself logs a point with an unknown vector name before it refuses it, and strips the point at replay."""
    code = """
import os, sys
from qdrant_client import models
from qdrant_rerank import QueryError
from qdrant_rerank.edge import EdgeClient

client = EdgeClient(sys.argv[1])
client.create_collection("docs", {"dense": models.VectorParams(size=2, distance=models.Distance.DOT)})
client.upsert("docs", [models.PointStruct(id=1, vector={"dense": [1.0, 2.0]}, payload={"a": 1})])
try:
    client.upsert("docs", [models.PointStruct(id=1, vector={"dence": [1.0, 2.0]}, payload={"a": 2})])
except QueryError:
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    with EdgeClient(tmp_path) as client:
        [point] = client.retrieve("docs", [1], with_vectors=True)
        assert (point.payload, point.vector) == ({"a": 1}, {"dense": [1.0, 2.0]})


def test_a_closed_client_says_so(tmp_path: Path) -> None:
    client = edge_client(tmp_path)
    shard = client._folder.shard(NAME)
    client.close()
    client.close()
    calls: list[Any] = [
        lambda: client.count(NAME),
        lambda: client.create_collection("new", FLAT),
        lambda: client.delete_collection(NAME),
    ]
    for call in calls:
        with pytest.raises(ClientError, match=f"the EdgeClient of {tmp_path} is closed: make a new one"):
            call()
    with pytest.raises(ClientError, match=f"the collection '{NAME}' in .* is closed"):
        shard.retrieve([], False, False)
    shard.close()
    with EdgeClient(tmp_path) as another:  # though the old shard is still referred to
        assert another.count(NAME).count == len(awkward_points())


def test_a_forgotten_client_lets_go_of_the_folder(tmp_path: Path) -> None:
    edge_client(tmp_path)  # not closed; nothing refers to it any more
    with EdgeClient(tmp_path) as client:
        assert client.count(NAME).count == len(awkward_points())


def test_a_folder_that_isn_t_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with EdgeClient(tmp_path / "a" / "b") as client:
        assert client.get_collections().collections == []
        assert not client.collection_exists("docs")
        assert not client.delete_collection("docs")
        with pytest.raises(EngineError, match=r"Collection docs not found in .*; there are: none"):
            client.count("docs")
        assert not (tmp_path / "a").exists()
        client.create_collection("docs", FLAT)
        assert [one.name for one in client.get_collections().collections] == ["docs"]


def test_a_deleted_collection_is_gone(tmp_path: Path) -> None:
    with edge_client(tmp_path) as client:
        shard = client._folder.shard(NAME)
        assert client.delete_collection(NAME)
        assert not (tmp_path / NAME).exists()
        with pytest.raises(ClientError, match="is closed"):
            shard.retrieve([], False, False)
        client.create_collection(NAME, **config())
        assert client.count(NAME).count == 0


def test_the_path_may_be_one_collection_itself(tmp_path: Path) -> None:
    edge_client(tmp_path).close()
    with EdgeClient(tmp_path / NAME, collection="called this") as client:
        assert [one.name for one in client.get_collections().collections] == ["called this"]
        assert client.count("called this").count == len(awkward_points())
        with pytest.raises(ClientError, match="is the one collection 'called this'; for 'another' give a folder"):
            client.create_collection("another", FLAT)
        with pytest.raises(EngineError, match="Collection called this already exists"):
            client.create_collection("called this", FLAT)
    with EdgeClient(tmp_path / "fresh", collection="docs") as client:
        assert client.get_collections().collections == []
        client.create_collection("docs", FLAT)
        assert (tmp_path / "fresh" / "segments").is_dir()


def test_an_unknown_collection_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with edge_client(tmp_path) as client:
        with pytest.raises(EngineError, match=f"Collection akward not found.*there are: '{NAME}': did you mean '{NAME}'"):
            client.count("akward")
        with pytest.raises(PlanError, match=f"there is no collection 'akward'; this Qdrant has '{NAME}'"):
            read_schema(client, "akward")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a:b", "a\x00b", "x" * 256, 7])
def test_a_name_that_can_t_be_a_folder_s_is_refused(tmp_path: Path, name: Any) -> None:
    with EdgeClient(tmp_path) as client, pytest.raises(ClientError, match="can't be the name of a collection"):
        client.create_collection(name, FLAT)


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClientError, match="file is a file; an EdgeClient takes a folder"):
        EdgeClient(tmp_path / "file")
    with pytest.raises(ClientError, match="qdrant-edge keeps its data in a folder"):
        EdgeClient(":memory:")
    with pytest.raises(TypeError):
        EdgeClient(5)  # type: ignore[arg-type]  # and its destructor has nothing to close


def test_many_threads_share_a_client(tmp_path: Path) -> None:
    v = query_vectors()
    with edge_client(tmp_path) as client:
        expected = pairs(client.query_points(NAME, query=v["dense"], using="dense").points)
        found: list[Any] = []

        def work(number: int) -> None:
            for step in range(10):
                client.upsert(NAME, [awkward_points()[number * 5 + step % 5]])
                found.append(pairs(client.query_points(NAME, query=v["dense"], using="dense").points))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 40
        assert all(one == expected for one in found)


def test_a_query_after_closing_in_another_thread_is_an_error_and_no_crash(tmp_path: Path) -> None:
    client = edge_client(tmp_path)
    errors: list[Exception] = []

    def work() -> None:
        try:
            while True:
                client.query_points(NAME, query=query_vectors()["dense"], using="dense")
        except (ClientError, QueryError) as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    client.close()
    thread.join(timeout=PATIENCE)
    assert "closed" in str(errors[0])

"""A forked process has no engine: it is told so at once, loses nothing, and leaves the parent's folder to the parent."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import QueryError
from qdrant_rerank._internals import describe_misfits, refusals
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import ClientError, EngineError

FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)
POINT = models.PointStruct(id=2, vector=[1.0, 1.0])

# in a process of its own, as one with threads (pytest's) had better not fork
CHILD = """
import gc, inspect, os, sys, threading
from qdrant_client import QdrantClient, models
from qdrant_rerank.errors import ClientError
from qdrant_rerank.edge import EdgeClient

client = EdgeClient(sys.argv[1])
client.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
client.upsert("c", [models.PointStruct(id=1, vector=[1.0, 1.0])])
locked, leave = threading.Event(), threading.Event()

def hold():  # another thread is in the middle of a call
    with client._folder._lock, client._folder._open["c"].lock:
        locked.set()
        leave.wait()

def arguments(method):
    named = inspect.signature(method).parameters.values()
    needed = [one.name for one in named if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    return {name: VALUES.get(name, "c") for name in needed}

VALUES = {"points": [models.PointStruct(id=2, vector=[1.0, 1.0])], "points_selector": [1], "payload": {"a": 1}, "ids": [1],
    "requests": [models.QueryRequest(query=[1.0, 1.0])], "vectors": [[1.0, 1.0]], "keys": ["a"], "update_operations": []}
thread = threading.Thread(target=hold)
thread.start()
locked.wait()
child = os.fork()
if not child:
    for name in sorted(vars(QdrantClient) | {"optimize": 0}):
        if name.startswith("_") or not callable(getattr(client, name, None)):
            continue
        method = getattr(client, name)
        try:
            given = {} if method.__doc__ == "Not there: raises `ClientError`." else arguments(method)
            method(**given)
        except ClientError:
            continue
        except BaseException as error:
            print(name, type(error), error)
            os._exit(1)
        print(name, "did something")
        os._exit(2)
    with client:  # leaving the block closes nothing, and says nothing
        pass
    del client
    gc.collect()
    os._exit(0)  # sys.exit would wait for the threads of gRPC, which qdrant-client loads
leave.set()
thread.join()
_, status = os.waitpid(child, 0)
client.upsert("c", [models.PointStruct(id=3, vector=[1.0, 1.0])])
client.close()
with EdgeClient(sys.argv[1]) as again:
    print(status, [point.id for point in again.scroll("c")[0]])
"""


def test_every_method_refuses_in_a_forked_process_and_nothing_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("0 [1, 3]\n", "", 0)


WHILE_IT_LIVES = """
import os, sys, time
from qdrant_client import models
from qdrant_rerank.edge import EdgeClient

client = EdgeClient(sys.argv[1])
client.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
mine, its = os.pipe()
child = os.fork()
if not child:
    os.close(its)
    os.read(mine, 1)  # lives until the parent is done
    os._exit(0)
client.close()
with EdgeClient(sys.argv[1]) as again:
    print(again.count("c").count)
os.close(its)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are listed there on Linux alone")
def test_the_parent_can_let_go_of_the_folder_while_the_forked_process_lives(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WHILE_IT_LIVES, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_copy_is_the_client_itself(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT)
        for copied in (copy.copy(client), copy.deepcopy({"client": client})["client"]):
            assert copied is client
        del copied
        gc.collect()
        client.upsert("c", [POINT])  # no copy has closed it


def test_pickling_is_refused_in_words(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client, pytest.raises(ClientError, match=r"can't be pickled.*Send the path"):
        pickle.dumps(client)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_folder_deleted_under_the_client_is_an_error_and_nothing_is_taken(tmp_path: Path, how: str) -> None:
    client = EdgeClient(tmp_path)
    client.create_collection("c", FLAT)
    client.upsert("c", [POINT])
    os.rename(tmp_path / "c", tmp_path / "gone")
    if how == "replaced":
        (tmp_path / "c" / "segments").mkdir(parents=True)
    calls: list[Any] = [
        lambda: client.upsert("c", [POINT]),
        lambda: client.query_points("c", query=[1.0, 1.0]),
        lambda: client.get_collection("c"),
        lambda: client.optimize("c"),
    ]
    for call in calls:
        with pytest.raises(EngineError, match=r"the folder .* was deleted, moved or replaced while it was open"):
            call()
    client.close()
    with EdgeClient(tmp_path) as again:
        assert again.count("gone").count == 1


def test_every_collection_is_let_go_of_although_one_can_t_be_written_out(tmp_path: Path) -> None:
    client = EdgeClient(tmp_path)
    for name in ("a", "b", "c"):
        client.create_collection(name, FLAT)
        client.upsert(name, [POINT])
    shards = dict(client._folder._open)
    vars(shards["b"])["engine"] = Broken(shards["b"].engine)
    with pytest.raises(EngineError, match="closing 'b' failed: no room"):
        client.close()
    with EdgeClient(tmp_path) as again:
        assert [again.count(name).count for name in ("a", "b", "c")] == [1, 1, 1]


class Broken:
    """An engine's shard that can't be written out."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def flush(self) -> None:
        raise OSError("no room")

    def close(self) -> None:
        self.engine.close()


class PanicException(BaseException):
    """As the engine's, by its name: that of pyo3 can't be imported."""


def test_a_fault_of_the_engine_is_an_error_and_an_interrupt_is_none() -> None:
    failed = pytest.raises(EngineError, match="qdrant-edge failed at a query, by a fault of its own: index out of bounds")
    with failed, refusals("a query"):
        raise PanicException("index out of bounds")
    with pytest.raises(KeyboardInterrupt), refusals("a query"):
        raise KeyboardInterrupt


def test_what_the_binding_says_at_length_is_cut() -> None:
    with (
        pytest.raises(QueryError, match=r"^the query: failed to extract( variant)+ ?v?a?r?i?a?n?t?…$"),
        describe_misfits("the query"),
    ):
        raise TypeError("failed to extract" + "\n variant" * 100)


def test_files_that_can_t_be_read_are_an_error_of_ours(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT)
    (tmp_path / "c" / "edge_config.json").write_text("{")
    with EdgeClient(tmp_path) as client, pytest.raises(EngineError, match="opening"):
        client.count("c")
    (tmp_path / "file").write_text("")
    with EdgeClient(tmp_path / "file" / "below") as client, pytest.raises(EngineError, match=r"making .* failed"):
        client.create_collection("c", FLAT)

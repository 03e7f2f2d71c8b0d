"""A full disk is an error: the engine would be ended by a signal, and the process with it."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank._internals import OPENING, RESERVE, disk_of, disk_usage
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import EngineError

FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)
Usage = namedtuple("Usage", "used free")


class Disk:
    """A disk that is as full as a test says."""

    def __init__(self) -> None:
        self.used, self.free = 10**12, 10**12

    def __call__(self, folder: Path) -> Any:
        return Usage(self.used, self.free)


def client_on(path: Path, disk: Disk) -> EdgeClient:
    client = EdgeClient(path)
    client._folder.disk = disk
    return client


def filled(path: Path, disk: Disk) -> EdgeClient:
    client = client_on(path, disk)
    client.create_collection("c", FLAT)
    client.upsert("c", [models.PointStruct(id=i, vector=[1.0, 1.0], payload={"t": "x" * 100}) for i in range(20)])
    return client


def small(id: int, size: int = 10) -> list[models.PointStruct]:
    return [models.PointStruct(id=id, vector=[1.0, 1.0], payload={"t": "x" * size})]


def test_a_change_is_refused_where_the_disk_may_have_no_room_and_all_else_goes_on(tmp_path: Path) -> None:
    disk = Disk()
    with filled(tmp_path, disk) as client:
        disk.free = RESERVE - 1
        for write in (
            lambda: client.upsert("c", small(100)),
            lambda: client.set_payload("c", {"a": 1}, [1]),
            lambda: client.clear_payload("c", [1]),
            lambda: client.delete("c", [1]),
            lambda: client.create_payload_index("c", "t", models.PayloadSchemaType.KEYWORD),
            lambda: client.create_collection("d", FLAT),
            lambda: client.optimize("c"),
        ):
            with pytest.raises(
                EngineError, match=r"needs \d+ MB free on the disk of .*, which has 64 MB: .* nothing was begun"
            ):
                write()
        assert client.count("c").count == 20
        assert len(client.query_points("c", query=[1.0, 1.0]).points) == 10
        disk.free = 2 * RESERVE
        client.upsert("c", small(100))
        client.optimize("c")
    disk.free = OPENING - 1
    with client_on(tmp_path, disk) as client:
        with pytest.raises(EngineError, match="opening the collection 'c' needs 32 MB free"):
            client.count("c")
        disk.free = OPENING
        assert client.count("c").count == 21


def test_a_change_needs_several_times_what_it_brings(tmp_path: Path) -> None:
    disk = Disk()
    with filled(tmp_path, disk) as client:
        disk.free = RESERVE + 3_900_000
        with pytest.raises(EngineError, match="a change of 'c' needs 68 MB"):
            client.upsert("c", small(100, 10**6))
        client.upsert("c", small(100, 900_000))
        with pytest.raises(EngineError, match="a change of 'c'"):
            client.set_payload("c", {"a": "x" * 100_000}, models.Filter())  # for each of 21 points
        client.set_payload("c", {"a": "x" * 100_000}, [1, 2])
        client.create_payload_index("c", "t", models.PayloadSchemaType.KEYWORD)


def test_a_disk_with_room_for_the_most_that_a_change_may_need_is_not_counted(tmp_path: Path) -> None:
    disk = Disk()
    with filled(tmp_path, disk) as client:
        disk.used = 0  # so that the most is far less than what is free, however full the machine's own disk is
        client.set_payload("c", {"a": 1}, [1, 2])
        assert (
            client.count("c", models.Filter(must=[models.FieldCondition(key="a", match=models.MatchValue(value=1))])).count == 2
        )


def test_after_a_crash_opening_has_to_replay_the_log(tmp_path: Path) -> None:
    disk = Disk()
    client = filled(tmp_path, disk)
    client.close()
    (tmp_path / "c" / "collection_closed").unlink()
    disk.free = OPENING
    with client_on(tmp_path, disk) as again:
        with pytest.raises(EngineError, match="opening the collection 'c'"):
            again.count("c")
        disk.free += disk_usage(tmp_path / "c" / "wal")
        assert again.count("c").count == 20


def test_a_collection_that_can_t_be_opened_can_be_deleted_unless_it_is_in_use(tmp_path: Path) -> None:
    disk = Disk()
    with filled(tmp_path, disk) as owner:
        disk.free = 0
        with client_on(tmp_path, disk) as other, pytest.raises(Exception, match="has the collection open"):
            other.delete_collection("c")
        assert owner.count("c").count == 20
    with client_on(tmp_path, disk) as client:
        assert client.delete_collection("c")
        assert not (tmp_path / "c").exists()


def test_the_disk_is_that_of_the_folder_or_of_where_it_will_be(tmp_path: Path) -> None:
    assert disk_of(tmp_path / "a" / "b").total == disk_of(tmp_path).total
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "hole").write_bytes(b"")
    os.truncate(tmp_path / "a" / "hole", 10**8)
    (tmp_path / "full").write_bytes(b"x" * 10_000)
    assert 10_000 <= disk_usage(tmp_path) < 10**6

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rerank.errors import FormatError
from qdrant_rerank.ingest import Document, point_id


@pytest.mark.parametrize("id", [0, 7, 2**64 - 1])
def test_whole_numbers_stay_as_they_are(id: int) -> None:
    assert point_id(id) == id


@pytest.mark.parametrize(
    "spelling",
    ["4c1f0b0e-93a5-4d9b-8d2e-0a6c1b7f5e11", "4C1F0B0E-93A5-4D9B-8D2E-0A6C1B7F5E11", "4c1f0b0e93a54d9b8d2e0a6c1b7f5e11"],
)
def test_every_spelling_of_a_uuid_is_one_point(spelling: str) -> None:
    assert point_id(spelling) == "4c1f0b0e-93a5-4d9b-8d2e-0a6c1b7f5e11"


def test_other_texts_become_these_uuids_for_ever() -> None:
    assert point_id("d1") == "0a46c089-a174-59e5-bc79-2a64e580480b"
    assert point_id("77") == "f0611673-a9cf-5b78-8216-146e7bb541ae"
    assert point_id("77") != 77


@given(st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable()))
def test_any_printable_text_becomes_a_valid_uuid_and_always_the_same(id: str) -> None:
    point = point_id(id)

    assert isinstance(point, str)
    assert str(uuid.UUID(point)) == point == point_id(id)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        (-1, "an id that is a number must be from 0 to 2**64 - 1, got -1: write it as text"),
        (2**64, "must be from 0 to 2**64 - 1"),
        (True, "an id must be text or a whole number, got bool True"),
        (1.5, "an id must be text or a whole number, got float 1.5"),
        (None, "an id must be text or a whole number, got NoneType None"),
        ("  ", "an id must not be empty, got '  '"),
    ],
)
def test_what_can_not_be_an_id_is_refused(id: object, message: str) -> None:
    with pytest.raises(FormatError) as refused:
        Document(id, "text")  # type: ignore[arg-type]

    assert message in str(refused.value)


def test_a_text_that_is_not_text_is_refused_with_the_document() -> None:
    with pytest.raises(FormatError, match="the text of document 'd1' must be a string, got NoneType"):
        Document("d1", None)  # type: ignore[arg-type]


def test_a_payload_with_another_id_is_refused_rather_than_overwritten() -> None:
    with pytest.raises(FormatError, match="the payload of document 'd1' has an '_id' of its own \\('other'\\)"):
        Document("d1", "text", {"_id": "other"})
    assert Document("d1", "text", {"_id": "d1"}).payload == {"_id": "d1"}

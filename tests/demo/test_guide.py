"""The demo's data: whole, and judged consistently."""

from __future__ import annotations

from qdrant_rerank.demo import CORPUS, HERE, TODAY, questions
from qdrant_rerank.ingest import read_jsonl


def test_every_judgment_is_of_a_document_that_is_there() -> None:
    there = {document.id for document in read_jsonl(CORPUS)}
    asked = questions()
    assert len(there) == 97
    assert len({question.id for question in asked}) == len(asked) == 38
    assert {document for question in asked for document in question.judgments} <= there
    assert {grade for question in asked for grade in question.judgments.values()} == {1, 2}


def test_no_entry_is_from_after_the_day_the_questions_are_asked() -> None:
    published = [str(document.payload["published"]) for document in read_jsonl(CORPUS)]
    assert max(published) < TODAY.isoformat()
    assert TODAY.isoformat()[:7] == "2026-11"


def test_the_questions_are_asked_in_the_region() -> None:
    places = [document.payload["location"] for document in read_jsonl(CORPUS)]
    assert min(place["lat"] for place in places) < HERE[0] < max(place["lat"] for place in places)
    assert min(place["lon"] for place in places) < HERE[1] < max(place["lon"] for place in places)

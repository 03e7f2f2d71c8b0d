"""`qdrant-rerank schema`: the payload's keys as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import DOCUMENTS, fails, succeeds, write_corpus


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schema")
    documents = [{**document, "_id": f"{document['_id']}-{n}"} for document in DOCUMENTS for n in range(8)]
    succeeds("index", write_corpus(folder / "corpus.jsonl", documents), "--path", folder / "db", "--dense", "hash")
    return folder / "db"


def test_keys_are_shown_with_types_shares_and_values(many: Path) -> None:
    out = succeeds("schema", "--path", many)
    assert out.splitlines()[0] == "'docs': 40 random points were looked at"
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.split()}
    assert rows["rating"][1:4] == ["float", "80%", "–"]
    assert rows["rating"][4:] == ["2.5", "…", "5"]
    assert rows["town"][4:] == ["'Orvena'", "(24),", "'Lunasca'", "(8),", "'Montefosco'", "(8)"]


def test_json_has_all_of_it(many: Path) -> None:
    found = json.loads(succeeds("schema", "--path", many, "--json"))
    assert (found["collection"], found["points"]) == ("docs", 40)
    assert {"key": "town", "type": "keyword"}.items() <= {
        **next({"key": each["key"], "type": next(iter(each["types"]))} for each in found["keys"] if each["key"] == "town")
    }.items()


def test_a_filter_says_which_points_and_too_few_are_said_nothing_of(many: Path, db: Path) -> None:
    mine = '{"must": [{"key": "town", "match": {"value": "Orvena"}}]}'
    assert json.loads(succeeds("schema", "--path", many, "--filter", mine, "--json"))["points"] == 24
    assert succeeds("schema", "--path", db) == "'docs': fewer than 20 points, too few to say anything of\n"


def test_a_collection_that_is_not_there_is_told(many: Path) -> None:
    assert "there is no collection 'dosc'" in fails("schema", "--path", many, "-c", "dosc")

"""`qdrant-rerank search`: strategies by flags and files, as a table and as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Formula, Fusion, Nearest, field, save, score
from qdrant_rerank.models import Bm25
from tests.cli.support import run, succeeds, write_corpus
from tests.support import fill_toy


def found(db: Path, *arguments: object) -> list[dict[str, Any]]:
    """The records of a search with `--json`."""
    out = succeeds("search", *arguments, "--path", db, "--json")
    return [json.loads(line) for line in out.splitlines()]


def ids(db: Path, *arguments: object) -> list[str]:
    """The documents' ids, best first."""
    return [record["payload"]["_id"] for record in found(db, *arguments)]


def test_json_lines_hold_rank_id_score_and_payload(db: Path) -> None:
    first, *rest = found(db, "last ferry", "-k", 3)
    assert first["rank"] == 1
    assert first["payload"]["title"] == "The last ferry"
    assert isinstance(first["id"], str)
    assert first["score"] > rest[0]["score"]
    assert len(rest) == 2


def test_json_holds_only_the_keys_to_show(db: Path) -> None:
    assert found(db, "ferry", "-k", 1, "--show", "town, rating")[0]["payload"] == {"town": "Orvena", "rating": 4.5}


def test_a_table_shows_rank_score_text_and_the_chosen_keys(db: Path) -> None:
    lines = succeeds("search", "night train", "--path", db, "-k", 2, "--show", "rating,town").splitlines()
    assert lines[0].split() == ["#", "score", "id", "text", "rating", "town"]
    assert lines[2].split()[0] == "1"
    assert "Bikes on the night train" in lines[2]
    assert {line.split()[-1] for line in lines[2:4]} == {"Orvena", "Lunasca"}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_of_a_table_is_wider_than_the_terminal(db: Path, columns: int) -> None:
    out = succeeds("search", "night train", "--path", db, "--show", "rating,town,title", columns=columns)
    assert max(map(len, out.splitlines())) <= columns
    assert "Bikes" in out


def test_without_room_for_text_and_keys_each_result_has_lines_of_its_own(db: Path) -> None:
    asked = ("search", "night train", "--path", db, "--using", "bm25", "-k", 2)
    lines = [line.rstrip() for line in succeeds(*asked, "--show", "rating,town", columns=40).splitlines()]
    assert lines[0] in ("1  train", "1  rules")
    assert "   Bikes on the night train" in lines
    assert lines[2].startswith("   score ")
    assert ", rating 3, town Orvena" in " ".join(" ".join(lines).split())
    assert "…" not in succeeds(*asked, "--show", "rating,town,title", columns=40)  # nothing is cut
    assert succeeds(*asked, "--show", "rating,town", columns=80).splitlines()[0].split()[0] == "#"
    long = succeeds(*asked, "--text-key", "nothing", "--show", "rating", columns=40).splitlines()
    assert long[1].startswith("   score ")  # no line for a text that isn't there


def test_a_missing_value_is_a_dash(db: Path) -> None:
    out = succeeds("search", "hut soup stove", "--path", db, "-k", 2, "--show", "rating")
    assert out.splitlines()[2].endswith("–")


def test_a_key_that_no_result_has_is_warned_of(db: Path) -> None:
    ran = run("search", "ferry", "--path", db, "--show", "raitng")
    assert ran.code == 0
    assert ran.err == "warning: --show raitng: no result has that payload key\n"


def test_hybrid_fuses_what_both_vectors_find(db: Path) -> None:
    [record] = found(db, "last ferry", "--hybrid", "-k", 1)
    assert record["payload"]["_id"] == "ferry"
    assert record["score"] == pytest.approx(1.0)  # first in both: 1/2 + 1/2
    [record] = found(db, "last ferry", "--hybrid", "--fusion", "dbsf", "-k", 1)
    assert record["score"] != pytest.approx(1.0)


def test_using_searches_another_vector(db: Path) -> None:
    assert ids(db, "pier", "--using", "bm25") == ["market", "ferry"] or ids(db, "pier", "--using", "bm25") == [
        "ferry",
        "market",
    ]


def test_a_formula_ranks_by_the_payload(db: Path) -> None:
    plain = ids(db, "bikes on the night train")[:2]
    rated = ids(db, "bikes on the night train", "--formula", "score() + field('rating', 3)", "-k", 1)
    assert plain == ["train", "rules"]
    assert rated == ["rules"]


def test_a_formula_names_the_searches_that_it_reads(db: Path) -> None:
    [both] = found(db, "last ferry", "--formula", "score('dense') + 100 * score('bm25')", "-k", 1)
    [sparse] = found(db, "last ferry", "--using", "bm25", "-k", 1)
    assert both["score"] == pytest.approx(100 * sparse["score"], abs=1.5)
    [fused] = found(db, "last ferry", "--formula", "2 * score('rrf')", "-k", 1)
    assert fused["score"] == pytest.approx(2.0)
    [other] = found(db, "last ferry", "--formula", "2 * score()", "--using", "bm25", "-k", 1)
    assert other["score"] == pytest.approx(2 * sparse["score"])


def test_a_formula_takes_values_of_the_request(db: Path) -> None:
    formula = "score() - param('weight') * field('rating', 3)"
    assert ids(db, "bikes on the night train", "--formula", formula, "--params", '{"weight": 9}', "-k", 1) == ["market"]


def test_features_and_filters_may_come_from_files(db: Path, tmp_path: Path) -> None:
    (tmp_path / "filter.json").write_text('{"must": [{"key": "town", "match": {"value": "Lunasca"}}]}')
    assert ids(db, "bikes", "--filter", f"@{tmp_path / 'filter.json'}") == ["rules"]


def test_mmr_chooses_what_differs(db: Path) -> None:
    near = ids(db, "bikes on the night train", "-k", 2)
    varied = ids(db, "bikes on the night train", "--mmr", 0.9, "-k", 2)
    assert near == ["train", "rules"]
    assert varied[0] == "train"
    assert varied[1] != "rules"


def test_a_filter_and_a_threshold_leave_points_out(db: Path) -> None:
    assert ids(db, "night", "--filter", '{"must": [{"key": "rating", "range": {"gte": 4.6}}]}') == ["rules"]
    best = found(db, "last ferry")[0]["score"]
    assert len(found(db, "last ferry", "--score-threshold", best - 0.01)) == 1


def test_groups_hold_one_result_each(db: Path) -> None:
    towns = [record["payload"]["town"] for record in found(db, "night train", "--group-by", "town")]
    assert sorted(towns) == ["Lunasca", "Montefosco", "Orvena"]


def test_nothing_found_is_said(db: Path) -> None:
    assert succeeds("search", "zzz", "--path", db, "--using", "bm25") == "nothing found\n"


def test_a_strategy_file_ranks_as_the_strategy_does(db: Path, tmp_path: Path) -> None:
    candidates = Nearest("dense", limit=50), Nearest("bm25", limit=50)
    save(
        Formula(score("rrf") + 9 * field("rating", default=0)).over(Fusion.rrf(limit=20).over(*candidates)), tmp_path / "s.json"
    )
    assert ids(db, "ferry", "--strategy", tmp_path / "s.json", "-k", 2) == ["rules", "ferry"]


def test_what_works_otherwise_than_it_seems_is_warned_of(db: Path, tmp_path: Path) -> None:
    save(Nearest("dense", limit=50), tmp_path / "s.json")
    ran = run("search", "ferry", "--path", db, "--strategy", tmp_path / "s.json")
    assert ran.code == 0
    assert ran.err.startswith("warning: limit=50 of the outermost stage has no effect")


def test_an_empty_collection_is_warned_of(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    client.create_collection("empty", sparse_vectors_config={"bm25": models.SparseVectorParams()})
    client.close()
    ran = run("search", "ferry", "--path", tmp_path / "db", "--sparse", "bm25")
    assert (ran.code, ran.out) == (0, "nothing found\n")
    assert "warning: the collection 'empty' is empty" in ran.err


def test_a_collection_made_elsewhere_is_searched_with_the_model_given(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    sparse = {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    client.create_collection("theirs", sparse_vectors_config=sparse)
    from qdrant_rerank.models import Bm25

    [vector] = Bm25().encode_documents(["the last ferry"])
    payload = {"page_content": "the last ferry", "metadata": {"rating": 4}}
    client.upsert("theirs", [models.PointStruct(id=1, vector={"words": vector}, payload=payload)])
    client.close()
    out = succeeds("search", "ferry", "--path", tmp_path / "db", "--sparse", "bm25", "--show", "metadata.rating")
    assert "the last ferry" in out
    assert out.splitlines()[2].endswith("4")


def test_of_several_dense_vectors_the_options_choose(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    size = models.VectorParams(size=512, distance=models.Distance.COSINE)
    client.create_collection("two", vectors_config={"a": size, "b": size})
    client.close()
    ran = run("search", "ferry", "--path", tmp_path / "db", "--dense", "hash", "--mmr", 0.5)
    assert "--mmr needs a dense vector, and there are several" in ran.err
    assert "choose with --dense-vector NAME" in ran.err
    arguments = ("--dense", "hash", "--using", "a", "--mmr", 0.5, "--dense-vector", "b")
    assert run("search", "ferry", "--path", tmp_path / "db", *arguments).code == 0


def test_the_only_collection_need_not_be_named_but_of_several_one_must(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    fill_toy(client, "one")
    fill_toy(client, "two")
    client.close()
    message = run("search", "ferry", "--path", tmp_path / "db").err
    assert message == "error: which collection? --collection NAME; there are: one, two\n"


def test_a_misspelt_key_is_told_as_it_is_in_python(tmp_path: Path) -> None:
    rated = [{"_id": f"d{n}", "text": f"ferry {n}", "metadata": {"rating": n}} for n in range(25)]
    place = "--path", tmp_path / "db"
    succeeds("index", write_corpus(tmp_path / "rated.jsonl", rated), *place)
    said = run("search", "ferry", *place, "--formula", "score() + field('rating', 3)")
    assert said.code == 0
    assert "no point of 'docs' has 'rating'; did you mean 'metadata.rating'?" in " ".join(said.err.split())
    assert succeeds("search", "ferry", *place, "--formula", "score() + field('metadata.rating', 3)")


def test_a_date_in_a_formula_is_iso_text(db: Path) -> None:
    formula = "score() + 0 * decay_exp(now() - datetime_field('published', default='2020-01-01'), scale=9e7)"
    said = run("search", "night train", "--path", db, "--formula", formula)
    assert said.code == 0
    assert "Bikes on the night train" in said.out


def test_uuids_and_keys_are_short_and_why_takes_them_so(tmp_path: Path) -> None:
    client, place = QdrantClient(path=str(tmp_path / "db")), ("--path", tmp_path / "db")
    client.create_collection("mine", vectors_config={}, sparse_vectors_config={"bm25": models.SparseVectorParams()})
    for letter in "ab":
        payload = {"text": "a night train", "metadata": {"rating": 4, "topic": "rail"}}
        [vector] = Bm25().encode_documents(["a night train"])
        point = models.PointStruct(id=f"{letter * 8}-0000-4000-8000-000000000000", vector={"bm25": vector}, payload=payload)
        client.upsert("mine", [point])
    client.close()
    asked = ["search", "train", *place, "--sparse", "bm25", "--formula", "score() + field('metadata.rating', 3)"]

    narrow = run(*asked, "--show", "metadata.rating,metadata.topic", "--compare", "aaaaaaaa…", "bbbbbbbb", columns=60)
    assert narrow.code == 0, narrow.err
    assert {"rating", "topic", "aaaaaaaa…"} <= set(narrow.out.split())
    wide = run(*asked, "--show", "metadata.rating,other.rating", columns=160)
    assert "metadata.rating" in wide.out

"""`qdrant-rerank plan`: the request, its cost, and what refuses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rerank import Fusion, Nearest, load
from qdrant_rerank.cli._internals import fold_json
from tests.cli.support import succeeds


def explained(db: Path, *arguments: object) -> dict[str, Any]:
    explanation: dict[str, Any] = json.loads(succeeds("plan", "--path", db, "--json", *arguments))
    return explanation


def test_it_shows_strategy_collection_cost_refusals_and_request(db: Path) -> None:
    out = succeeds("plan", "--path", db, "--hybrid", "--mmr", 0.2)
    assert "Mmr('dense', diversity=0.2).over(Fusion.rrf().over(Nearest('dense'), Nearest('bm25')))" in out
    assert "docs: 'dense' (dense 512-d, Cosine), 'bm25' (sparse, IDF)" in out
    assert "round trips: 1   texts read: 0   embeds: bm25, dense" in out
    assert "before 1.15: refused (maximal marginal relevance)" in out
    request = json.loads(out[out.index("\n{") :])
    assert request["query"]["mmr"]["diversity"] == 0.2
    assert request["prefetch"][0]["query"] == {"fusion": "rrf"}


def test_a_query_shows_its_own_vector_and_none_shows_zeros(db: Path) -> None:
    zeros = [0.0, 0.0, 0.0, 0.0, "… 512 numbers"]
    assert explained(db)["requests"][0]["query"]["nearest"] == zeros
    own = explained(db, "--query", "bicycle")["requests"][0]["query"]["nearest"]
    assert own[-1] == "… 512 numbers"
    assert own != zeros
    words = explained(db, "--query", "ferry", "--using", "bm25")["requests"][0]["query"]["nearest"]
    assert len(words["indices"]) == 1


def test_values_of_the_request_go_into_it(db: Path) -> None:
    arguments = ("--formula", "score() * param('w')", "--params", '{"w": 0.25}')
    assert explained(db, *arguments)["requests"][0]["query"]["formula"] == {"mult": ["$score", 0.25]}
    assert explained(db, *arguments, "--query", "ferry")["requests"][0]["query"]["formula"] == {"mult": ["$score", 0.25]}


def test_options_and_filter_are_part_of_the_request(db: Path) -> None:
    request = explained(db, "-k", 7, "--filter", '{"must": [{"key": "town", "match": {"value": "Orvena"}}]}')["requests"][0]
    assert request["limit"] == 7
    assert request["filter"] == {"must": [{"key": "town", "match": {"value": "Orvena"}}]}


def test_a_saved_strategy_is_read_back(db: Path, tmp_path: Path) -> None:
    succeeds("plan", "--path", db, "--hybrid", "--limit", 30, "--output", tmp_path / "hybrid.json")
    saved = load(tmp_path / "hybrid.json")
    assert saved == Fusion.rrf().over(Nearest("dense", limit=30), Nearest("bm25", limit=30))
    assert explained(db, "--strategy", tmp_path / "hybrid.json")["strategy"] == repr(saved)


def test_warnings_stand_in_the_explanation_once(db: Path, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"kind": "nearest", "using": "dense", "limit": 9}')
    out = succeeds("plan", "--path", db, "--strategy", tmp_path / "s.json", columns=160)
    assert out.count("limit=9 of the outermost stage has no effect") == 1


def test_a_strategy_that_any_server_runs_says_so(db: Path) -> None:
    out = succeeds("plan", "--path", db, "--using", "bm25")
    assert "before 1.10: refused (queries over prefetched candidates)" in out


@pytest.mark.parametrize("columns", [60, 80])
def test_no_line_but_of_the_request_is_wider_than_the_terminal(db: Path, columns: int) -> None:
    out = succeeds("plan", "--path", db, "--formula", "0.8*score() + 0.2*field('rating', 3)", columns=columns)
    assert max(map(len, out.splitlines())) <= columns


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(JSON_VALUES, st.integers(1, 60))
def test_a_folded_request_is_the_same_json(value: Any, width: int) -> None:
    assert json.loads(fold_json(value, width)) == value


def test_what_fits_stands_on_one_line() -> None:
    value = {"query": {"fusion": "rrf"}, "prefetch": [{"using": "dense", "limit": 30}, {"using": "bm25", "limit": 30}]}
    assert fold_json(value, 200) == json.dumps(value)
    assert fold_json(value, 50).splitlines() == [
        "{",
        '  "query": {"fusion": "rrf"},',
        '  "prefetch": [',
        '    {"using": "dense", "limit": 30},',
        '    {"using": "bm25", "limit": 30}',
        "  ]",
        "}",
    ]

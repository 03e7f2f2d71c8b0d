"""docs/formulas.md runs as it stands: its code blocks, and each expression in its tables; it names every function."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, expressions
from qdrant_rerank.models import Encoders
from tests.support import public_names

from . import worlds
from .blocks import ROOT, blocks, untested

DOCUMENT = "docs/formulas.md"
_PAYLOAD = {
    "published": "2026-05-01T00:00:00Z",
    "votes": 12,
    "rating": 4.0,
    "location": {"lat": 46.0, "lon": 8.5},
}
_FEATURES = {"budget": 40, "here": (46.01, 8.52), "tastes": {"cycling": 0.3, "stay": -0.1}}


class _Letters:
    """One vector for each word."""

    def encode_query(self, text: str) -> list[list[float]]:
        return [[1.0 if letter in word else 0.0 for letter in "aeiou"] + [1.0] for word in text.lower().split()]

    def encode_documents(self, texts: Sequence[str]) -> list[list[list[float]]]:
        return [self.encode_query(text) for text in texts]


def world() -> dict[str, Any]:
    """The guide with token vectors for all points but one, and payload for every second one."""
    core, late = worlds.core(), _Letters()
    client: QdrantClient = core["client"]
    points, _ = client.scroll("guide", with_vectors=True)
    client.delete_collection("guide")
    cosine, several = models.Distance.COSINE, models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    client.create_collection(
        "guide",
        vectors_config={
            "dense": models.VectorParams(size=64, distance=cosine),
            "colbert": models.VectorParams(size=6, distance=cosine, multivector_config=several),
        },
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    for point in points:
        vectors: dict[str, Any] = dict(point.vector)  # type: ignore[arg-type]  # they are named
        if point.id:
            vectors["colbert"] = late.encode_query((point.payload or {})["text"])
        payload = {**(point.payload or {}), **(_PAYLOAD if int(point.id) % 2 else {"rating": 3.0})}
        client.upsert("guide", [models.PointStruct(id=point.id, vector=vectors, payload=payload)])
    encoders = Encoders({**core["encoders"].named, "colbert": late})
    return {"client": client, "encoders": encoders, "long_ago": dt.datetime(2020, 1, 1)}


def test_the_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    options = world()
    exec(compile(blocks(DOCUMENT)["formulas"], DOCUMENT, "exec"), options)
    printed = capsys.readouterr().out
    assert "1 round trip" in printed
    assert abs(sum(term.value for term in options["best"].terms) - options["best"].score) < 1e-5
    assert "field('votes', default=0.0)" in printed.splitlines()[-1]
    assert len(options["points"]) == 3
    assert 0 < len(options["sure"]) < 6


def test_every_python_block_is_run() -> None:
    assert untested(DOCUMENT) == 0


def examples() -> list[str]:
    """The expressions that the tables' first column has."""
    text = (ROOT / DOCUMENT).read_text("utf-8")
    cells = re.findall(r"^\| (`.*?`) \|", text, re.M)
    found = [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]
    return [code for code in found if "(" in code and "…" not in code]


@pytest.fixture(scope="module")
def there() -> dict[str, Any]:
    cycling = models.FieldCondition(key="category", match=models.MatchValue(value="cycling"))
    return {**public_names(), **world(), "models": models, "cycling": cycling}


@pytest.mark.parametrize("code", examples())
def test_each_expression_in_the_tables_has_a_finite_score_for_every_point(code: str, there: dict[str, Any]) -> None:
    named = "score(" in code.replace("score()", "")
    candidates = [Nearest("dense")] if not named else [Nearest("dense"), Nearest("bm25")]
    if "colbert" in code:
        candidates = [Nearest("colbert", name="dense").over(Nearest("dense"))]
    executor = Executor(there["client"], "guide", encoders=there["encoders"])
    strategy = Formula(eval(code, there)).over(*candidates)
    points = executor.retrieve(strategy, Query("bike repair", params=_FEATURES), SearchOptions(limit=10))
    assert len(points) == (5 if "colbert" in code else 6)
    assert all(math.isfinite(point.score) for point in points)


def test_the_tables_hold_examples_and_every_function_is_named() -> None:
    assert len(examples()) > 20
    text = (ROOT / DOCUMENT).read_text("utf-8")
    functions = set(expressions.__all__) - {"as_expression", "parse_expression"}
    assert [name for name in sorted(functions) if name[0].islower() and not re.search(rf"\b{name}\(", text)] == []

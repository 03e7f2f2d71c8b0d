"""The code in docs/relevance-feedback.md runs as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import PlanWarning

from . import worlds
from .blocks import blocks, untested

DOCUMENT = "docs/relevance-feedback.md"
_SUBJECTS = ["bikes", "trains", "the lake", "a ferry", "repairs", "meals"]
_KINDS = ["where is", "when is", "how much for", "tell me about"]


class Overlap:
    """A reranker that counts shared words."""

    fingerprint = "overlap"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        words = set(query.lower().split())
        return [len(words & set(text.lower().replace(";", "").split())) + len(text) / 1000 for text in texts]


def world() -> dict[str, Any]:
    options = worlds.core()
    client = options["client"]
    points, _ = client.scroll("guide", limit=10, with_vectors=True)
    for copy in range(1, 8):  # a fit wants more than six points
        for point in points:
            point.payload["text"] = point.payload["text"] + f" Note {copy}."
        from qdrant_client import models

        vectors = [dict(point.vector) for point in points]
        for number, vector in enumerate(vectors):
            vector["dense"] = [value + 0.01 * copy * ((place + number) % 3) for place, value in enumerate(vector["dense"])]
        client.upsert(
            "guide",
            [
                models.PointStruct(id=100 * copy + number, vector=vector, payload=point.payload)
                for number, (vector, point) in enumerate(zip(vectors, points, strict=True))
            ],
        )
    return options | {"reranker": Overlap()}


def write_queries() -> None:
    """The files that the document reads."""
    queries = [f"{kind} {subject}" for kind in _KINDS for subject in _SUBJECTS]
    Path("queries.tsv").write_text("".join(f"q{number}\t{query}\n" for number, query in enumerate(queries)), "utf-8")
    judged = "".join(f"q{number} 0 {document} 1\n" for number in range(len(queries)) for document in (0, 3))
    Path("qrels.txt").write_text(judged, "utf-8")


def test_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write_queries()
    options = world()
    with pytest.warns(PlanWarning, match="plain search did as well or better"):  # 24 queries of random words
        exec(compile(blocks(DOCUMENT)["feedback"], DOCUMENT, "exec"), options)
    printed = capsys.readouterr().out
    assert "24 queries, 1 request to Qdrant, up to 960 documents" in printed
    assert "Use " in printed
    assert len(options["points"]) == 3
    assert "surfaced_by_feedback" in options["points"][0].notes


def test_every_python_block_is_run() -> None:
    assert untested(DOCUMENT) == 0

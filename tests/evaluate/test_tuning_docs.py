"""The code in docs/tuning.md runs as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import Coefficients, Nearest, RelevanceFeedback, load, save
from tests.docs.blocks import blocks, untested
from tests.evaluate.tuning_worlds import world


def test_the_guide_to_tuning_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    executor, topics, qrels = world((1.0, 1.0), count=25, model=True)
    seeds, trusted = Nearest("a", limit=5), Coefficients(1.0, 0.5, 0.2)
    save(RelevanceFeedback(seeds=seeds, coefficients=trusted, trust=True), tmp_path / "feedback.json")
    options: dict[str, Any] = {"executor": executor, "topics": topics, "qrels": qrels}
    exec(compile(blocks("docs/tuning.md")["tuning"], "docs/tuning.md", "exec"), options)
    load(tmp_path / "strategy.json")
    assert (tmp_path / "candidates.jsonl").exists()
    assert "5 and 50" in options["tuning"].values


def test_every_block_of_the_guide_is_run() -> None:
    assert untested("docs/tuning.md") == 0

"""The code of the page on trained models runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank.evaluate import Qrels, Topic, Topics
from qdrant_rerank.learn import MAX_BYTES, MAX_CONDITIONS
from tests.docs import worlds
from tests.docs.blocks import blocks, untested

PAGE = "docs/learned-models.md"


def test_every_block_is_run() -> None:
    assert untested(PAGE) == 0


def test_the_page_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    topics = Topics([Topic(f"q{number}", text) for number, text in enumerate(worlds.TEXTS[:4])])
    qrels = Qrels({topic.id: {str(number): 1} for number, topic in enumerate(topics)})
    options: dict[str, Any] = worlds.core() | {"folder": tmp_path, "topics": topics, "qrels": qrels}
    exec(compile(blocks(PAGE)["learned"], PAGE, "exec"), options)

    assert all(0 < point.score < 1 for point in options["points"])
    assert options["size"].conditions > 20
    assert len(options["here"]) == 3
    assert options["large"].reference["price"].missing == 0
    out = capsys.readouterr().out
    assert "sigmoid(" in out
    assert "reads 'stars', but no point of 'guide' has a number there" in out


def test_the_page_states_the_budget() -> None:
    from tests.docs.blocks import ROOT

    assert f"{MAX_CONDITIONS:,} conditions or {MAX_BYTES:,} bytes" in (ROOT / PAGE).read_text("utf-8")

"""The code of the page on learned ranking runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import blocks, untested
from tests.learn.logs import local

PAGE = "docs/learning.md"


def test_every_block_is_run() -> None:
    assert untested(PAGE) == 0


@pytest.mark.filterwarnings("ignore:.*fewer than 10 for each")
def test_the_page_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    executor, topics, qrels = local()
    options: dict[str, Any] = {"executor": executor, "topics": topics, "qrels": qrels, "folder": tmp_path}
    exec(compile(blocks(PAGE)["learning"], PAGE, "exec"), options)

    assert all(point.score >= 0.3 for point in options["points"])
    assert options["points"]
    assert options["point"].precision >= 0.4
    out = capsys.readouterr().out
    assert "95 % interval" in out
    assert "'popularity' as in training (PSI 0.000)" in out
    assert (tmp_path / "log.parquet").exists()

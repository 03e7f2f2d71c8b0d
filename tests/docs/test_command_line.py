"""The commands that the pages show run, in the pages' order, on the demo's documents and judgments."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest

from qdrant_rerank.demo import CORPUS, questions
from tests.cli.support import run

from .blocks import ROOT


@pytest.mark.parametrize("page", ["start/command-line", "howto/evaluation-in-ci"])
def test_the_commands_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(CORPUS, "corpus.jsonl")
    with Path("judged.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["query_id", "query", "doc_id", "grade"])
        rows.writerows((one.id, one.text, doc, grade) for one in questions() for doc, grade in one.judgments.items())
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.M | re.S)
    commands = [shlex.split(line, comments=True) for line in "".join(blocks).splitlines() if line.startswith("$ qdrant-rerank")]
    assert len(commands) >= 2
    for _, _, *arguments in commands:
        if arguments != ["demo"]:  # tests/demo
            ran = run(*arguments)
            assert ran.code == 0, ran.all

"""The differences between the engines that the documentation lists are there, each in its example."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import blocks, untested


def test_the_examples_of_engine_differences_hold(tmp_path: Path) -> None:
    exec(compile(blocks("docs/engines.md")["engines"], "docs/engines.md", "exec"), {"folder": tmp_path})


def test_every_example_is_run() -> None:
    assert untested("docs/engines.md") == 0

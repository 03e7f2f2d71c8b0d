"""What the demo says of its numbers."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from qdrant_rerank.demo import LINEUP, DemoOutcome, describe_limits, describe_setup, legend, summary


def text(shown: RenderableType, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    return str(console.file.getvalue())  # type: ignore[attr-defined]  # a StringIO


def outcomes(*qualities: float) -> dict[str, DemoOutcome]:
    """An outcome for each strategy of the line-up, with these nDCGs."""
    return {entry.name: DemoOutcome([], 1.5, 1, 2, 0, quality) for entry, quality in zip(LINEUP, qualities, strict=True)}


def test_wins_and_losses_are_counted_over_the_questions() -> None:
    shown = text(summary([outcomes(0.5, 0.6, 0.5, 0.4, 0.7, 0.1), outcomes(0.5, 0.6, 0.5, 0.6, 0.3, 0.1)]))
    rows = {
        line[:22].strip(): line[22:].split() for line in shown.splitlines() if line.startswith(tuple(e.name for e in LINEUP))
    }
    assert rows["plain BM25"][:3] == ["0.600", "2", "0"]
    assert rows["hybrid (RRF)"][:3] == ["0.500", "0", "0"]
    assert rows["formula"][:3] == ["0.500", "1", "1"]
    assert rows["MMR"] == ["0.100", "0", "2", "1", "2", "0", "1.5"]


def test_who_is_behind_is_said_and_nothing_where_nobody_is() -> None:
    weaker = text(summary([outcomes(0.5, 0.7, 0.6, 0.5, 0.8, 0.4)]))
    assert "Best on these questions: formula." in weaker
    assert "Behind plain dense: MMR." in weaker
    assert "Behind plain BM25: hybrid (RRF)" in weaker
    better = text(summary([outcomes(0.5, 0.5, 0.6, 0.6, 0.8, 0.5)]))
    assert "Behind" not in better


def test_only_local_mode_is_said_to_be_slow() -> None:
    assert "local mode" in text(describe_limits("local"))
    assert "local mode" not in text(describe_limits("server"))
    assert "local mode" not in text(describe_limits("edge"))


def test_only_hashed_vectors_are_said_to_match_spelling() -> None:
    assert "spelling, not meaning" in text(describe_setup("hash", "here", 0.1))
    assert "spelling" not in text(describe_setup("a/model", "here", 0.1))


def test_the_legend_explains_grades_only_where_there_are_any() -> None:
    assert "●●" in text(legend(is_judged=True))
    assert "●" not in text(legend(is_judged=False))


def test_a_narrow_window_shows_fewer_figures_and_cuts_none() -> None:
    all_of_them = [outcomes(0.5, 0.7, 0.6, 0.5, 0.8, 0.4)]
    wide, narrow = text(summary(all_of_them, 80), 80), text(summary(all_of_them, 40), 40)
    assert " embedded " in wide.splitlines()[2]
    assert max(map(len, narrow.splitlines())) <= 40
    assert "…" not in narrow
    assert [line.split()[-3:] for line in narrow.splitlines() if line.startswith("MMR")] == [["0.400", "0", "1"]]

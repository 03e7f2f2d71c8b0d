"""How the code is built: the figures of `scripts/structure.py` don't grow, and what may import what is kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import structure

ROOT = Path(__file__).parents[2]


def test_no_figure_is_above_its_cap() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/structure.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), "`python scripts/structure.py --names FIGURE` lists what a figure counts"


def test_imports_go_down() -> None:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_each_figure_has_a_cap_and_a_target_below_it() -> None:
    caps = structure.caps()
    assert tuple(caps) == structure.FIGURES
    assert all(cap["target"] <= cap["now"] for cap in caps.values())


def test_a_figure_above_its_cap_is_told_and_caps_are_lowered_to_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps = tmp_path / "structure.toml"
    caps.write_text("# why\nfiles = { now = 7, target = 5 }\nnames = { now = 3, target = 2 }\n", "utf-8")
    monkeypatch.setattr(structure, "CAPS", caps)
    figures = {"files": 8, "names": 2}
    assert structure.check(figures) == ["files: 8 are more than 7, the cap in scripts/structure.toml"]
    structure.lower(figures)
    assert tomllib.loads(caps.read_text("utf-8")) == {"files": {"now": 7, "target": 5}, "names": {"now": 2, "target": 2}}
    assert caps.read_text("utf-8").startswith("# why\n")


def test_modules_that_import_each_other_are_one_component_after_what_they_import() -> None:
    arrows: dict[str, set[str]] = {"top": {"a"}, "a": {"b"}, "b": {"c", "base"}, "c": {"a"}, "base": set()}
    assert structure.components(arrows) == [{"base"}, {"a", "b", "c"}, {"top"}]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("searched", "told", "looked_through", "ranking_of")),
        *((name, False) for name in ("search", "embed", "read_topics", "string", "is_told", "seed")),
    ],
)
def test_participles_are_told_from_verbs(name: str, expected: bool) -> None:
    assert structure.is_participle(name) is expected

"""The program as it is installed: `qdrant-rerank` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qdrant_rerank import __version__
from qdrant_rerank.cli import main

PROGRAM = Path(sys.executable).parent / "qdrant-rerank"


def without(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `module` impossible to import, and have the application imported anew."""
    for name in [name for name in sys.modules if name.startswith("qdrant_rerank.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)


def test_main_runs_the_command_that_the_process_was_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["qdrant-rerank", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capsys.readouterr().out == f"qdrant-rerank {__version__}\n"


@pytest.mark.parametrize("absent", ["typer", "rich", "rich.text"])
def test_without_the_extra_it_says_what_to_install(
    absent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(absent, monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "the command qdrant-rerank needs an optional dependency: pip install 'qdrant-rerank[cli]'\n"
        "That is added to what is installed, from a clone too. [all] in the place of [cli] brings what each command needs.\n"
    )


def test_a_module_that_is_missing_for_another_reason_is_not_blamed_on_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without("qdrant_rerank.cli.output", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["qdrant-rerank", "search", "ferry"])
    with pytest.raises(ModuleNotFoundError, match=r"qdrant_rerank\.cli\.output"):
        main()


def test_the_program_runs_and_its_output_has_no_colours_when_piped(db: Path) -> None:
    ran = subprocess.run([PROGRAM, "search", "ferry", "--path", db], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0
    assert "The last ferry" in ran.stdout
    assert "\x1b" not in ran.stdout + ran.stderr


def test_a_reader_that_leaves_early_gets_no_traceback(db: Path) -> None:
    command = f"'{PROGRAM}' search ferry --path '{db}' --json | head -c 10"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert ran.stdout == '{"rank": 1'
    assert ran.stderr == ""


def test_importing_the_package_imports_no_typer() -> None:
    # httpx imports rich where it finds it, so that rich proves nothing
    code = "import qdrant_rerank, qdrant_rerank.cli, sys; print('typer' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.stdout == "False\n"

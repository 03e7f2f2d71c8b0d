"""Which versions go together: `make matrix` tests the oldest and the newest that are allowed, on each Python that is there.

Each cell of the matrix is an environment of its own, in which tests of the core and of both adapters run. What came of it is
written to docs/compatibility.md, with what each Qdrant version brings.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["PAGE", "Cell", "floor_of", "page", "read_cells"]

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "compatibility.md"
PACKAGES: Final = (
    *("qdrant-client", "langchain-core", "llama-index-core", "pydantic", "numpy", "qdrant-edge-py"),
    *("langchain-qdrant", "llama-index-vector-stores-qdrant"),
)
_FRAMEWORK_PYDANTIC: Final = "pydantic==2.11.*"  # this package names none: the oldest that both frameworks take
_TOOLS: Final = ("pytest>=9,<10", "pytest-asyncio>=1.2", "hypothesis>=6.130")
_STORES: Final = ("langchain-qdrant>=1.1", "llama-index-vector-stores-qdrant>=0.8")
_TESTS: Final = (
    "tests/core/test_executor.py",
    "tests/core/test_steps.py",
    "tests/core/test_round_trips.py",
    "tests/llama_index/test_edge.py",  # those of tests/edge compare with the newest local mode
    "tests/langchain/test_calls.py",
    "tests/langchain/test_edge.py",
    "tests/llama_index/test_retriever.py",
)
_CELLS: Final = re.compile(r"^<!-- cells: (.*) -->$", re.M)


@dataclass(frozen=True)
class Cell:
    """One environment: a Python, the oldest or the newest versions, what was installed, and how the tests ended."""

    python: str
    versions: str
    installed: dict[str, str]
    outcome: str
    day: str


def floor_of(requirement: str) -> str:
    """The oldest minor version that a requirement allows, as a requirement."""
    name, least = re.match(r"([\w.-]+)>=(\d+(?:\.\d+)?)", requirement).groups()  # type: ignore[union-attr]  # all have one
    return f"{name}=={least if '.' in least else f'{least}.0'}.*"


def floors() -> list[str]:
    """The oldest versions that pyproject.toml allows of what the matrix is about."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [each for name in ("langchain", "llama-index", "edge") for each in project["optional-dependencies"][name]]
    return [*(floor_of(each) for each in (*project["dependencies"], *extras)), _FRAMEWORK_PYDANTIC]


def pythons() -> Iterator[str]:
    """Every Python from 3.11 that is there: on the path, or one of pyenv's."""
    for minor in range(11, 16):
        managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob(f"3.{minor}.*/bin/python")
        for candidate in (shutil.which(f"python3.{minor}"), *map(str, managed)):
            if candidate and subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
                yield candidate
                break


def test(python: str, versions: str) -> Cell:
    """Make the environment of a cell, and run its tests there."""
    with tempfile.TemporaryDirectory() as folder:
        _run("uv", "venv", "--quiet", "--clear", "--python", python, folder)
        inside = str(Path(folder, "bin", "python"))
        name = _run(inside, "-V").stdout.split()[1]
        package = f"{ROOT}[langchain,llama-index,edge]"
        made = _run("uv", "pip", "install", "--python", inside, package, *_TOOLS, *_STORES, *_pins(versions, name))
        if made.returncode:
            print(made.stderr, file=sys.stderr)
            return Cell(name, versions, {}, "these versions can't be installed together", _today())
        listed = json.loads(_run("uv", "pip", "list", "--python", inside, "--format", "json").stdout)
        installed = {each["name"].lower(): each["version"] for each in listed}
        ran = _run(inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", *_TESTS)
        print(ran.stdout[-3000:], ran.stderr[-3000:], file=sys.stderr)
        ends = re.findall(r"^(\d+ (?:passed|failed|error).*?) in ", ran.stdout, re.M)
        outcome = re.sub(r", \d+ warnings?", "", ends[-1]) if ends else "no tests ran"
        return Cell(name, versions, {each: installed.get(each, "–") for each in PACKAGES}, outcome, _today())


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A finished program; uv is the one beside this Python."""
    path = str(Path(sys.executable).with_name(program)) if program == "uv" else program
    return subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def _pins(versions: str, python: str) -> list[str]:
    """What a cell asks for beside the package; numpy's oldest has no wheel for the newer Pythons."""
    newer = tuple(map(int, python.split(".")[:2])) >= (3, 13)
    pins = floors() if versions == "oldest" else []
    return ["numpy==2.1.*" if newer and each.startswith("numpy") else each for each in pins]


def _today() -> str:
    return dt.date.today().isoformat()


def read_cells(text: str) -> list[Cell]:
    """The cells that a page was made of."""
    found = _CELLS.search(text)
    return [Cell(**each) for each in json.loads(found[1])] if found else []


def page(cells: list[Cell]) -> str:
    """The page of the site."""
    rows = [
        f"| {' | '.join((each.python, each.versions, *(each.installed.get(name, '–') for name in PACKAGES), each.outcome))} |"
        for each in cells
    ]
    day = max((each.day for each in cells), default="")
    kept = json.dumps([vars(each) for each in cells])
    return _PAGE.format(
        kept=kept,
        day=day,
        head=" | ".join(("Python", "versions", *PACKAGES, "tests")),
        line="|".join(["---"] * (len(PACKAGES) + 3)),
        rows="\n".join(rows),
        servers="\n".join(_servers()),
    )


def _servers() -> Iterator[str]:
    from qdrant_rerank._internals import ABILITIES

    by_version: dict[tuple[int, ...], list[str]] = {}
    for ability in ABILITIES.values():
        by_version.setdefault(tuple(ability.since), []).append(ability.says)
    for version, brings in sorted(by_version.items()):
        yield f"| {'.'.join(map(str, version))} | {'; '.join(brings)} |"


_PAGE: Final = """\
<!-- Written by `make matrix`: run it anew instead of changing this. -->
<!-- cells: {kept} -->

# Compatibility

Six modules of tests of the core, both adapters and the embedded engine, with the oldest and newest versions that are allowed,
on {day}, on Linux. The whole suite runs in CI on one Python with the newest, and the core's with the oldest qdrant-client.

| {head} |
|{line}|
{rows}

## Qdrant

Plans ask the server which version it is, and refuse what it doesn't have with the version that it takes. The oldest is 1.10;
the embedded engine is that of qdrant-edge-py. `add_vectors` takes Qdrant 1.18 and qdrant-client 1.18.

qdrant-client warns of a server whose minor version is two or more away from its own. What this package sends goes by the
server's version, so that the warning may be switched off: `QdrantClient(…, check_compatibility=False)`.

| from Qdrant | strategies may use |
|---|---|
{servers}

Which servers the tests of `tests/server` ran on: [engines](engines.md#what-was-run-where).
"""


def main() -> int:
    """Run the matrix and write the page; 1 if a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="write the page anew from the cells that it has, and test nothing")
    options = parser.parse_args()
    cells = read_cells(PAGE.read_text("utf-8")) if PAGE.exists() else []
    if not options.page:
        cells = []
        for python in pythons():
            for versions in ("oldest", "newest"):
                cells.append(test(python, versions))
                print(cells[-1])
    PAGE.write_text(page(cells), "utf-8")
    return int(any("passed" not in each.outcome or "failed" in each.outcome for each in cells))


if __name__ == "__main__":
    sys.exit(main())

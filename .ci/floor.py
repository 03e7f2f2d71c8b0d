"""Runs the core's tests on the oldest versions that pyproject.toml allows, in an environment of its own.

The expressions' random comparison is left to the newest version: what it compares is ours, not the client's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = [
    "qdrant-client==1.17.*",
    "numpy==1.26.*",
    "tenacity==9.0.*",
    "pytest>=9,<10",
    "pytest-asyncio>=1.2",
    "hypothesis>=6.130",
]
LEFT_OUT = [
    "tests/expressions/test_congruence.py",
    "tests/expressions/test_condition_kinds.py",  # conditions are decided as the newest local mode decides them
    "tests/core/test_goldens.py",  # of the newest client
    "tests/core/test_coalescing.py",  # through both frameworks' retrievers too, which aren't there
    "tests/core/test_coalescing_threads.py",  # likewise
    "tests/core/test_memory.py",  # likewise
    "tests/core/test_tenants.py",  # through both frameworks too, which aren't there
]
NOT_THERE = [
    "tests/core/test_engine_laws.py::test_pages_are_slices_of_the_whole_answer",  # of MMR, which is an error there
    "tests/expressions/test_conditions.py::test_every_condition_is_decided_as_local_mode_decides_it",  # as above
    "tests/core/test_payload_mistakes.py::test_a_formula_that_reads_what_no_point_has_is_told[bool as a number]",  # fails there
    # httpcore looks for sniffio at each request, which isn't there
    "tests/core/test_clients.py::test_the_first_async_call_imports_and_reads_nothing_on_the_loop",
    # without max and min requests are longer
    "tests/core/test_request_sizes.py::test_a_search_has_so_many_requests_and_bytes[six kinds of terms over hybrid]",
    "tests/core/test_notebooks.py::test_an_evaluation_and_a_comparison_are_tables",  # of packages of the extra learn
]
TESTS = [
    "tests/expressions",
    "tests/core",
    *(f"--ignore={name}" for name in LEFT_OUT),
    *(f"--deselect={name}" for name in NOT_THERE),
]


def main() -> int:
    """Make the environment, run the tests, and return pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder, "bin", "python"))
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(ROOT)], check=True)
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

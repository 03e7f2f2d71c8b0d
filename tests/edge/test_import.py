"""The engine is imported by those who ask for it, and its absence says what to install."""

from __future__ import annotations

import subprocess
import sys


def ran(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_core_doesn_t_import_the_engine() -> None:
    assert ran("import sys, qdrant_rerank; print('qdrant_edge' in sys.modules)") == "False\n"


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["qdrant_edge"] = None
from qdrant_rerank.errors import MissingExtra
try:
    from qdrant_rerank.edge import EdgeClient
except MissingExtra as error:
    print(error)
"""
    assert ran(code) == "the embedded Rust engine needs an optional dependency: pip install 'qdrant-rerank[edge]'\n"


def test_the_stand_in_version_is_not_newer_than_the_engine_s_sources() -> None:
    code = """
import importlib.metadata, json
from qdrant_rerank.edge import VERSION
files = importlib.metadata.files("qdrant-edge-py")
bill = json.loads(next(file for file in files if file.name.endswith(".cyclonedx.json")).read_text())
sources = next(part["version"] for part in bill["components"] if part["name"] == "api")
print(tuple(map(int, VERSION.split("."))) <= tuple(map(int, sources.partition("-")[0].split("."))))
"""
    assert ran(code) == "True\n"

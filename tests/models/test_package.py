"""The models by their names, each imported when it is first named."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from qdrant_rerank import models
from qdrant_rerank._internals import as_reranker


def test_every_name_is_there() -> None:
    for name in models.__all__:
        assert getattr(models, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Cohere'"):
        models.Cohere  # type: ignore[attr-defined]  # noqa: B018  # asking is what fails


def test_naming_one_model_loads_no_other() -> None:
    code = """
import sys
from qdrant_rerank.models import LlmPointwise
print([name for name in ("cohere", "langchain_core", "llama_index") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_taking_a_model_does_not_compute_its_fingerprint() -> None:
    class Slow:
        @property
        def fingerprint(self) -> str:
            raise AssertionError("this may read a model's folder")

        def score(self, query: str, texts: Any) -> list[float]:
            return []

    model = Slow()
    assert as_reranker(model) is model

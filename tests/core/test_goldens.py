"""Whole requests, compared with tests/goldens/requests/*.json.

After a change that is meant: `python -m pytest tests/core/test_goldens.py --update-goldens`, and read the diff.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Query
from qdrant_rerank._internals import Engine, Search
from qdrant_rerank.planning import Capabilities, Plan, plan
from tests.core.golden_cases import Case, cases
from tests.support import NOW, SCHEMA, script

CASES = cases()
VECTORS: Any = {
    "dense": [1.0, 0.5, 0.0, -0.25],
    "colbert": [[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]],
    "bm25": models.SparseVector(indices=[3, 17], values=[1.0, 2.0]),
}
FEATURES = {"budget": 3.7, "here": (48.1, 11.6)}


def planned(case: Case) -> Plan:
    engine: Engine = "local" if case.server.startswith("local-") else "server"
    capabilities = Capabilities.of(case.server.removeprefix("local-"), engine)
    return plan(case.strategy, SCHEMA, capabilities, case.options)


def asked(case: Case) -> dict[str, Any]:
    """Everything that goes out for a case: the kind of request, its JSON, and the options beside it."""
    steps = script(planned(case).flow(Query(vectors=VECTORS, params=FEATURES, now=NOW)), [[]]).steps
    [search] = steps
    assert isinstance(search, Search)
    [request] = search.requests
    body = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    options = {"consistency": search.consistency, "timeout": search.timeout}
    return {type(request).__name__: body} | {key: value for key, value in options.items() if value is not None}


@pytest.mark.skipif(not hasattr(models, "MaxExpression"), reason="goldens are what the newest qdrant-client can say")
@pytest.mark.parametrize("name", CASES)
def test_the_whole_request_is_the_golden(name: str, golden: Callable[[str, Any], None]) -> None:
    golden(f"requests/{name}", asked(CASES[name]))


def test_there_is_no_golden_without_a_case() -> None:
    found = {path.stem if path.suffix == ".json" else path.name for path in GOLDENS.iterdir()}
    assert found == set(CASES)


def test_a_plan_within_a_options_asks_the_same_as_a_plan_for_it() -> None:
    for case in CASES.values():
        again = planned(case._replace(options=Case(case.strategy).options)).within(case.options)
        assert again == planned(case)


GOLDENS = Path(__file__).parents[1] / "goldens" / "requests"

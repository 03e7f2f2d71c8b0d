"""The demo's strategies: the code that is shown makes what is run."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_rerank import from_json, to_json
from qdrant_rerank.demo import CANDIDATES, CANDIDATES_CODE, DAY, LINEUP, PLAIN, SHOWN, YEAR_2020, Entry
from tests.support import public_names


@pytest.mark.parametrize("entry", LINEUP, ids=lambda entry: entry.name)
def test_the_code_shown_makes_the_strategy_that_is_run(entry: Entry) -> None:
    names: dict[str, Any] = {**public_names(), "DAY": DAY, "YEAR_2020": YEAR_2020}
    exec(CANDIDATES_CODE, names)
    assert names["candidates"] == CANDIDATES
    assert eval(entry.code, names) == entry.strategy


@pytest.mark.parametrize("entry", LINEUP, ids=lambda entry: entry.name)
def test_the_code_fits_into_80_columns_and_the_strategy_into_a_file(entry: Entry) -> None:
    assert max(map(len, entry.code.splitlines())) <= 80
    assert len(f"{entry.name}  {entry.says}") <= 80
    assert from_json(to_json(entry.strategy)) == entry.strategy


def test_plain_search_comes_first_and_all_that_is_shown_is_measured() -> None:
    assert SHOWN[0] is LINEUP[0] is PLAIN
    assert set(SHOWN) <= set(LINEUP)

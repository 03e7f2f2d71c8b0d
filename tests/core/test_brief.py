"""Messages stay short, whatever large strategy or expression they speak of."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Fusion, Nearest, QdrantRerankError, Rerank, field, score, when
from qdrant_rerank._internals import brief
from qdrant_rerank.expressions import Expression, raw
from qdrant_rerank.learn import Feature, drift, fit_logistic
from qdrant_rerank.learn._internals import check_features
from qdrant_rerank.stages import ClientFormula
from tests.engines import open_client
from tests.support import fill_toy

LARGE: Expression = reduce(
    add, (when(models.FieldCondition(key=f"k{n}", match=models.MatchValue(value=n))) for n in range(900))
)
FORMULA = Formula(LARGE + score()).over(Nearest("dense", limit=10))
HERE = FORMULA.on_client()


def test_a_short_value_is_shown_as_it_is_and_a_long_one_without_its_middle() -> None:
    assert brief(Nearest("dense")) == "Nearest('dense')"
    assert brief("x" * 198) == f"'{'x' * 198}'"
    cut = brief(FORMULA)
    assert cut.startswith("Formula(when(")
    assert cut.endswith(f".over(Nearest('dense', limit=10)) ({len(repr(FORMULA)):,} characters)")
    assert " … " in cut
    assert len(cut) < 240
    assert len(brief(LARGE, 60)) < 100


@pytest.fixture(scope="module")
def executor() -> Executor:
    return Executor(fill_toy(open_client()), "docs")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: Formula(FORMULA),  # type: ignore[arg-type]
        lambda _: ClientFormula(LARGE),  # type: ignore[arg-type]
        lambda _: Fusion.rrf().over(HERE),  # type: ignore[arg-type]
        lambda _: Fusion.rrf().over([FORMULA]),  # type: ignore[arg-type]
        lambda _: Rerank(reads=5).over(LARGE),  # type: ignore[arg-type]
        lambda _: score() / LARGE,
        lambda _: LARGE / 0,
        lambda _: score() + {LARGE},  # type: ignore[operator]
        lambda _: raw(LARGE),  # type: ignore[arg-type]
        lambda _: when(LARGE),  # type: ignore[arg-type]
        lambda _: Nearest("dense", filter=LARGE),  # type: ignore[arg-type]
        lambda _: Feature(LARGE + field("x")),
        lambda _: Feature(LARGE, missing="nan"),
        lambda _: check_features(LARGE),  # type: ignore[arg-type]
        lambda _: fit_logistic(FORMULA),  # type: ignore[arg-type]
        lambda executor: drift(executor, FORMULA),  # type: ignore[arg-type]
        lambda executor: executor.plan(LARGE),
        lambda executor: executor.plan(Formula(LARGE)),
        lambda executor: executor.plan(Fusion.rrf().over(FORMULA, Formula(LARGE))),
    ],
)
def test_an_error_never_shows_all_of_a_large_formula(wrong: Callable[[Any], Any], executor: Executor) -> None:
    with pytest.raises((QdrantRerankError, TypeError)) as caught:
        wrong(executor)
    assert len(str(caught.value)) < 1000, len(str(caught.value))

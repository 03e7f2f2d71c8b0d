"""Strategies that are wrong in themselves are refused where they are written, and the message says what to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Formula, Fusion, Mmr, Nearest, PayloadMapping, StrategyError, datetime_field, field, score
from qdrant_rerank._internals import as_encoder, as_mapping
from qdrant_rerank.expressions import instant, parse_expression
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import plan
from tests.support import refused, target

DENSE, WORDS = Nearest("dense", limit=100), Nearest("bm25", limit=100)
CONDITION = models.FieldCondition(key="a", match=models.MatchValue(value=1))
anything: Any = None  # what a type checker would refuse is written by people without one

WRONG: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "a limit of 0": (lambda: Nearest("dense", limit=0), ("limit of Nearest", "at least 1", "got 0")),
    "a limit that is a bool": (lambda: Nearest("dense", limit=True), ("whole number", "got True")),
    "a limit with decimals": (lambda: Fusion.rrf(limit=2.5), ("limit of Fusion", "got 2.5")),  # type: ignore[arg-type]
    "a filter that is a dict": (
        lambda: Nearest("dense", filter={"must": []}),  # type: ignore[arg-type]
        ("Nearest: filter must be a qdrant_client.models.Filter", "got dict {'must': []}", "e.g. models.Filter("),
    ),
    "a filter that is a condition": (lambda: Mmr("dense", filter=CONDITION), ("got FieldCondition",)),  # type: ignore[arg-type]
    "a threshold of NaN": (lambda: Nearest("dense", score_threshold=float("nan")), ("score_threshold of Nearest", "got nan")),
    "params that are a dict": (
        lambda: Nearest("dense", search_params={"exact": True}),  # type: ignore[arg-type]
        ("params of Nearest must be a qdrant_client.models.SearchParams",),
    ),
    "no candidates in over": (lambda: Nearest("dense").over(), ("Nearest.over() needs at least one stage",)),
    "a candidate that is a name": (
        lambda: Fusion.rrf().over(DENSE, "bm25"),  # type: ignore[arg-type]
        ("'bm25' can't be a candidate of Fusion", "only what Qdrant runs by itself"),
    ),
    "a candidate that is a number": (lambda: Formula(score()).over(5), ("5 can't be a candidate of Formula",)),  # type: ignore[arg-type]
    "more weights than candidates": (
        lambda: Fusion.rrf(weights=[1, 2, 3]).over(DENSE, WORDS),
        ("3 weights for 2 candidates: give one for each",),
    ),
    "fewer weights than candidates": (lambda: Fusion.rrf(weights=[1]).over(DENSE, WORDS), ("1 weights for 2 candidates",)),
    "a weight of 0": (lambda: Fusion.rrf(weights=[1, 0]), ("weight of rrf must be a finite number above 0, got 0",)),
    "an infinite weight": (lambda: Fusion.rrf(weights=[float("inf")]), ("got inf",)),
    "a k of 0": (lambda: Fusion.rrf(k=0), ("k of rrf must be a whole number of at least 1, got 0",)),
    "an unknown fusion": (lambda: Fusion("rff"), ("fusion is by 'rrf' or 'dbsf', got 'rff'",)),  # type: ignore[arg-type]
    "a dbsf with k": (lambda: Fusion("dbsf", k=3), ("k and weights belong to rrf",)),
    "a dbsf with weights": (lambda: Fusion("dbsf", weights=(1.0,)), ("k and weights belong to rrf",)),
    "a diversity above 1": (lambda: Mmr("dense", diversity=1.5), ("diversity of Mmr must be between 0 and 1, got 1.5",)),
    "a diversity of text": (lambda: Mmr("dense", diversity="high"), ("got 'high'",)),  # type: ignore[arg-type]
    "no points to choose among": (lambda: Mmr("dense", candidates_limit=0), ("candidates_limit of Mmr", "got 0")),
    "a formula of text": (
        lambda: Formula("rating"),
        ("not an expression: 'rating'", "did you mean field('rating') or score('rating')?"),
    ),
    "a formula of nothing": (lambda: Formula(anything), ("not an expression: None",)),
    "a formula that reads a score that isn't there": (
        lambda: Formula(score("dence")).over(DENSE, WORDS),
        ("no candidate is named 'dence'", "'dense', 'bm25'"),
    ),
    "score() over two candidates": (
        lambda: Formula(0.5 * score()).over(DENSE, WORDS),
        ("score() is ambiguous over 2 candidates", "score(name)", "'dense', 'bm25'"),
    ),
    "two candidates of one name": (
        lambda: Formula(score("dense")).over(DENSE, Nearest("dense", limit=5)),
        ("several candidates are named 'dense'", "name=…"),
    ),
    "an expression as a condition of Python": (
        lambda: bool(score() + 1),
        ("no truth value", "when(condition, then, otherwise)"),
    ),
    "a score of NaN": (lambda: score("dense", default=float("nan")), ("the default of score('dense')", "got nan")),
    "a score by its number": (lambda: score(0), ("score() takes the name of a candidate, got 0",)),  # type: ignore[arg-type]
    "an instant of text": (lambda: instant("2025-01-01"), ("instant() must be a datetime", "got '2025-01-01'")),  # type: ignore[arg-type]
    "a default time of text": (
        lambda: datetime_field("published", default="2025"),  # type: ignore[arg-type]
        ("the default of datetime_field('published') must be a datetime.datetime, got '2025'",),
    ),
    "text that never ends": (lambda: parse_expression("9**9**9**9"), ("not an expression", "out of range")),
    "text times a number": (lambda: parse_expression("field('a' * 10**9)"), ("'a' can't be computed with",)),
    "text of thousands of brackets": (lambda: parse_expression("-" * 100_000 + "1"), ("too long or too deeply nested",)),
    "text of a thousand calls": (lambda: parse_expression("sigmoid(" * 90 + "-" * 3000 + "1"), ("not an expression",)),
    "text with a class that is no model": (
        lambda: parse_expression("instant(models.datetime(2025, 1, 1))"),
        ("models.datetime has no place in an expression",),
    ),
    "an empty payload key": (lambda: field(""), ("non-empty string",)),
    "a score as a payload key": (lambda: field("$score"), ("'$score' is not a payload key", "score('name')")),
    "an encoder that is none": (lambda: as_encoder(5), ("not an encoder: int", "encode_query")),  # type: ignore[arg-type]
    "encoders that are none": (lambda: Encoders.of(dense="minilm"), ("not an encoder: str",)),  # type: ignore[arg-type]
    "a payload preset with a typo": (lambda: as_mapping("langchian"), ("no payload preset", "did you mean 'langchain'?")),
    "a payload key for a preset": (lambda: as_mapping("body"), ("no payload preset 'body'", "PayloadMapping(text='body')")),
    "a payload mapping of a number": (lambda: as_mapping(5), ("payload= takes a preset's name", "got 5")),  # type: ignore[arg-type]
    "a mapping without text": (lambda: PayloadMapping(text=()), ("text key of a payload mapping", "got ()")),
    "a mapping with an empty key": (lambda: PayloadMapping(text=("title", "")), ("got ('title', '')",)),
    "a strategy that is none": (
        lambda: plan("dense", target().schema, target().capabilities),  # type: ignore[arg-type]
        ("not a strategy: 'dense'", "e.g. Nearest()"),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_is_refused_with_a_message_that_helps(what: str) -> None:
    make, parts = WRONG[what]
    with refused(StrategyError, *parts):
        make()


def test_an_unknown_keyword_argument_is_refused_by_python() -> None:
    with pytest.raises(TypeError, match="limits"):
        Nearest("dense", limits=5)  # type: ignore[call-arg]


def test_two_candidates_of_one_name_are_fine_where_no_score_is_read() -> None:
    assert Formula(field("rating", default=0)).over(DENSE, Nearest("dense", limit=5)).candidates[1].limit == 5
    assert len(Fusion.rrf().over(DENSE, DENSE).candidates) == 2


def test_candidates_of_one_vector_are_told_apart_by_name() -> None:
    strategy = Formula(score("near") + score("far")).over(Nearest("dense", name="near"), Nearest("dense", name="far"))
    assert [stage.title for stage in strategy.candidates] == ["near", "far"]

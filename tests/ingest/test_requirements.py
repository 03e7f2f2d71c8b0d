from __future__ import annotations

import datetime as dt

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Formula,
    Fusion,
    Nearest,
    StrategyError,
    datetime_field,
    decay_exp,
    field,
    geo_distance,
    now,
    score,
    when,
)
from qdrant_rerank.expressions import raw
from qdrant_rerank.ingest import requirements
from tests.ingest.wants import EVERYTHING, match


def test_each_key_gets_the_index_for_how_it_is_read() -> None:
    assert requirements(EVERYTHING) == {
        "rating": models.PayloadSchemaType.FLOAT,
        "published": models.PayloadSchemaType.DATETIME,
        "place": models.PayloadSchemaType.GEO,
        "category": models.PayloadSchemaType.KEYWORD,
        "open": models.PayloadSchemaType.BOOL,
        "year": models.PayloadSchemaType.INTEGER,
        "summary": models.PayloadSchemaType.TEXT,
    }


def test_a_strategy_that_reads_no_payload_needs_no_index() -> None:
    assert requirements(Fusion.rrf().over(Nearest("dense"), Nearest("bm25"))) == {}


def test_conditions_without_a_type_and_raw_expressions_are_left_out() -> None:
    is_empty = models.IsEmptyCondition(is_empty=models.PayloadField(key="b"))
    formula = Formula(score() + raw("a") + when(is_empty)).over(Nearest())

    assert requirements(formula) == {}


def test_a_number_that_is_also_matched_gets_a_float_index_which_hides_nothing() -> None:
    both = Formula(score() + field("year", default=0) + when(match("year", 2020))).over(Nearest())
    reverse = Formula(score() + when(match("year", 2020)) + field("year", default=0)).over(Nearest())

    assert requirements(both) == requirements(reverse) == {"year": models.PayloadSchemaType.FLOAT}


def test_a_text_that_is_matched_by_words_and_as_a_whole_gets_a_text_index() -> None:
    by_word = models.Filter(must=[models.FieldCondition(key="name", match=models.MatchText(text="hut"))])
    strategy = Formula(score() + when(match("name", "The Hut"))).over(Nearest(filter=by_word))

    assert requirements(strategy) == {"name": models.PayloadSchemaType.TEXT}


def test_a_key_read_as_two_types_is_refused() -> None:
    date = datetime_field("published", default=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    strategy = Formula(field("published", default=0) + decay_exp(now() - date, scale=86400)).over(Nearest())

    with pytest.raises(StrategyError) as refused:
        requirements(strategy)

    assert "reads the payload key 'published' as float and as datetime" in str(refused.value)
    assert "store one of the two under another key" in str(refused.value)


def test_filters_of_every_stage_count_however_deep() -> None:
    leaf = Nearest("dense", filter=models.Filter(should=[match("a", "x")]))
    middle = Fusion.rrf(filter=models.Filter(must_not=[match("b", 1)])).over(leaf)
    near = Formula(geo_distance((1, 2), "here", default=0)).over(middle)

    assert requirements(near) == {
        "here": models.PayloadSchemaType.GEO,
        "b": models.PayloadSchemaType.INTEGER,
        "a": models.PayloadSchemaType.KEYWORD,
    }

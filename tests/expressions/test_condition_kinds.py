"""Every kind of condition means here what it means to the engine, on every value and with every payload index.

`check` asks one engine: local mode and qdrant-edge, or the server that the run is on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Nearest, PlanError, Query, SearchOptions, StrategyError, score, when
from qdrant_rerank._internals import Conditions, Index, View
from qdrant_rerank.planning import Capabilities
from tests.engines import compared, open_client

from . import condition_worlds as worlds

QUERY = Query(vectors={"": [1.0]})
ALL = SearchOptions(limit=len(worlds.VALUES))
HIDDEN = "hides dates|datetime index"  # an index of the wrong type, under which nothing is decided here


def check(client: Any) -> list[str]:
    """Conditions that numpy decides otherwise than the engine: each with the values that meet it, here and there."""
    executor, wrong = Executor(client, worlds.COLLECTION), []
    for title, condition in worlds.CONDITIONS.items():
        here, there = _met_here(executor, condition), _met_there(client, condition)
        if here is not None and here != there:
            wrong.append(f"{title}: here {_shown(here)}, engine {_shown(there)}")
    return wrong


def _met_here(executor: Executor, condition: models.Condition) -> set[Any] | None:
    """The points that meet the condition; None where it is said that this can't be told."""
    formula = Formula(0.0 * score() + when(condition)).over(Nearest(limit=ALL.limit))
    try:
        return {point.id for point in executor.retrieve(formula.on_client(), QUERY, ALL) if point.score}
    except PlanError as error:
        if re.search(HIDDEN, str(error)) is None:
            raise
        return None


def _met_there(client: Any, condition: models.Condition) -> set[Any]:
    candidates = models.Prefetch(query=[1.0], limit=ALL.limit)
    query = models.FormulaQuery(formula=models.SumExpression(sum=[0.0, condition]))
    found = client.query_points(worlds.COLLECTION, query=query, prefetch=candidates, limit=ALL.limit)
    return {point.id for point in found.points if point.score}


def _shown(met: set[Any]) -> str:
    return str([worlds.VALUES[row] for row in sorted(met)])


ENGINES = [
    (name, index)
    for name in compared()
    if not name.endswith("-indexed")  # which are given indexes by key: here there is one key, and each index in its turn
    for index in (["none"] if name == "local" else worlds.INDEXES)
]


@pytest.fixture(params=ENGINES, ids=str)
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    name, index = request.param
    made = open_client(name)
    worlds.fill(made, worlds.INDEXES[index])
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore:(no|the) (sampled )?point:qdrant_rerank.PlanWarning")
@pytest.mark.filterwarnings("ignore:the integer index on:qdrant_rerank.PlanWarning")
def test_conditions_are_decided_as_the_engine_decides_them(client: Any) -> None:
    assert check(client) == []


def decided(condition: models.Condition, version: str = "1.18.3", index: Any = None) -> list[Any]:
    """The values that meet the condition on a server of that version."""
    view = View(Capabilities.of(version), {} if index is None else {worlds.KEY: Index(*index)})
    met = Conditions(worlds.payloads(), range(len(worlds.VALUES)), view=view).holds(condition)
    return [value for value, holds in zip(worlds.VALUES, met, strict=True) if holds]


def test_text_without_an_index_is_searched_for_as_it_stands_before_1_20() -> None:
    fox = worlds.field(match=models.MatchText(text="red fox"))
    phrase = worlds.field(match=models.MatchPhrase(phrase="red fox"))
    either = worlds.field(match=models.MatchTextAny(text_any="Fox dog"))
    assert decided(fox) == decided(phrase) == ["red fox", ["red fox", "dog"]]
    assert decided(either) == ["Red Fox", ["red fox", "dog"]]
    assert "red-fox" in decided(fox, "1.20.0")


def test_an_absent_key_has_no_values_to_count_before_1_19() -> None:
    few = worlds.field(values_count=models.ValuesCount(lt=1))
    assert decided(few) == [None, []]
    assert decided(few, "1.19.0") == [worlds.ABSENT, None, []]


def test_null_within_a_list_is_null_with_an_index_alone_before_1_20() -> None:
    null = models.IsNullCondition(is_null=models.PayloadField(key=worlds.KEY))
    keyword = models.PayloadSchemaType.KEYWORD, None
    assert decided(null) == [None]
    assert decided(null, index=keyword) == decided(null, "1.20.0") == [None, [None], ["a", None]]


def test_words_of_an_index_that_are_not_told_here_are_refused() -> None:
    asked = worlds.field(match=models.MatchText(text="foxes"))
    text = models.TextIndexType.TEXT
    english = models.Language.ENGLISH
    made = {
        "stems words": models.TextIndexParams(
            type=text, stemmer=models.SnowballParams(type=models.Snowball.SNOWBALL, language=models.SnowballLanguage.ENGLISH)
        ),
        "splits text by the multilingual tokenizer": models.TextIndexParams(
            type=text, tokenizer=models.TokenizerType.MULTILINGUAL
        ),
        "leaves out a language's stop words": models.TextIndexParams(type=text, stopwords=english),
        "folds letters to ASCII": models.TextIndexParams(type=text, ascii_folding=True),
    }
    for why, params in made.items():
        with pytest.raises(StrategyError, match=f"can be decided by Qdrant only: its full-text index {why}"):
            decided(asked, index=(models.PayloadSchemaType.TEXT, params))
    languages = models.TextIndexParams(type=text, stopwords=models.StopwordsSet(languages=[english]))
    with pytest.raises(StrategyError, match="a language's stop words"):
        decided(asked, index=(models.PayloadSchemaType.TEXT, languages))


def test_a_condition_that_asks_for_two_things_is_refused() -> None:
    both = worlds.field(match=models.MatchValue(value="a"), range=models.Range(gt=1))
    with pytest.raises(StrategyError, match="asks for several things at once"):
        decided(both)
    assert decided(worlds.field()) == []


def test_infinite_bounds_bound_nothing() -> None:
    everything = worlds.field(range=models.Range(gt=float("-inf"), lt=float("inf")))
    integer = models.PayloadSchemaType.INTEGER, None
    assert 3.5 in decided(everything)
    assert 3.5 not in decided(everything, index=integer)
    assert 3 in decided(everything, index=integer)


def test_objects_of_a_list_are_seen_by_full_text_indexes_alone() -> None:
    payload = {"n": [{"t": "Red fox"}, {"t": 3.0}]}
    indexes = {"n[].t": Index(models.PayloadSchemaType.TEXT), "n[].u": Index(models.PayloadSchemaType.INTEGER)}
    for asked, expected in (("red", True), ("ed", False)):
        inner = models.Filter(must=[models.FieldCondition(key="t", match=models.MatchText(text=asked))])
        condition = models.NestedCondition(nested=models.Nested(key="n", filter=inner))
        met = Conditions([payload], [1], view=View(Capabilities.of("1.18.3"), indexes)).holds(condition)
        assert met.tolist() == [expected]

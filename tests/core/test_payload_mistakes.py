"""Keys that no sampled point has, or has otherwise than they are read, are told; at no cost where they are there."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Nearest,
    PlanWarning,
    Query,
    Rerank,
    SearchOptions,
    Strategy,
    StrategyError,
    affinity,
    datetime_field,
    field,
    geo_distance,
    score,
    when,
)
from qdrant_rerank._internals import Search, Trained, hide_values
from qdrant_rerank.errors import PlanError
from qdrant_rerank.expressions import rerank_score
from qdrant_rerank.ingest import ensure_indexes
from tests.engines import current, open_client
from tests.support import CountingClient

ASKED = Query("q", vectors={"": [1.0, 0.0]}, params={"taste": {"rail": 1.0}, "mixed": {"rail": 1.0, 3: 1.0}})
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
HERE = models.GeoPoint(lat=46.0, lon=8.0)


def payload(number: int) -> dict[str, Any]:
    return {
        "text": f"text {number}",
        "metadata": {
            "rating": number / 10,
            "year": str(2000 + number),
            "day": f"2026-01-{number % 28 + 1:02}",
            "place": {"lat": 46.0, "lon": 8.0},
            "topic": "rail",
            "new": True,
            "prices": [1, 2],
            "offers": [{"price": 3}],
            "pages": 100 + number,
            "at": f"2026-01-{number % 28 + 1:02}T12:00:00Z",
            "mixed": number if number % 2 else str(number),
            "author": {"name": "Ada"},
        },
    }


def filled(client: Any, count: int = 30, name: str = "docs") -> Any:
    client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    points = [models.PointStruct(id=n, vector=[1.0, n / 100], payload=payload(n)) for n in range(count)]
    client.upsert(name, points, wait=True)
    return client


@pytest.fixture(scope="module")
def client() -> Any:
    return filled(open_client(keep=True))


def over(expression: Any) -> Formula:
    return Formula(expression).over(Nearest(limit=20))


def told(executor: Executor, strategy: Strategy, options: SearchOptions | None = None) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        executor.retrieve(strategy, ASKED, options or SearchOptions(limit=5))
    messages = [str(each.message) for each in caught if issubclass(each.category, PlanWarning)]
    return [each for each in messages if not each.startswith("each of the ")]  # shards, of which tests/core/test_shards.py is


def condition(key: str, value: Any = "rail") -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


DEFAULT = "The formula takes the default for each of them"
MISTAKES: dict[str, tuple[Any, str]] = {
    "prefix": (field("rating", default=0), f"has 'rating'; did you mean 'metadata.rating'? {DEFAULT}"),
    "spelling": (field("metadata.ratng", default=0), "did you mean 'metadata.rating'?"),
    "nothing like it": (field("zzz", default=0), f"no point of 'docs' has 'zzz'. {DEFAULT}"),
    "affinity": (affinity("topic", param="taste"), "has 'topic'; did you mean 'metadata.topic'?"),
    "condition": (when(condition("topic")), "has 'topic'; did you mean 'metadata.topic'?"),
    "place": (geo_distance((46.0, 8.0), "place", default=0), "has 'place'; did you mean 'metadata.place'?"),
    "array": (field("offers[0].price", default=0), "has 'offers[0].price'; did you mean 'metadata.offers[].price'?"),
    "text as a number": (
        field("metadata.year", default=0),
        "hold text under 'metadata.year', and the formula reads a number there: it takes the default for each of them; store",
    ),
    "date as a number": (
        field("metadata.day", default=0),
        "hold date-times under 'metadata.day', .* read it by datetime_field('metadata.day', default=…)",
    ),
    "number as a date": (
        datetime_field("metadata.rating", default=LONG_AGO) * 0,
        "hold floats under 'metadata.rating'.*reads a date-time there.*read it by field",
    ),
    "text as a date": (
        datetime_field("metadata.topic", default=LONG_AGO) * 0,
        "hold text under 'metadata.topic'.*store ISO 8601 texts there",
    ),
    "place as a number": (field("metadata.place", default=0), "hold places under.*geo_distance"),
    "bool as a number": (field("metadata.new", default=0), "hold true or false under.*read it by when"),
    "object as a number": (
        field("metadata.author", default=0),
        "hold objects under 'metadata.author'.*reads a number there.*name a key within, such as 'metadata.author.name'",
    ),
    "text for a number": (
        when(condition("metadata.pages", "103")),
        "hold whole numbers under.*the formula matches text there: it takes 0 for each of them; match a whole number, without",
    ),
    "categories that are floats": (
        affinity("metadata.rating", param="taste"),
        "hold floats under.*the formula matches text there: it takes the default for each of them",
    ),
    "text for categories that are numbers": (
        affinity("metadata.pages", param="taste"),
        "hold whole numbers under.*the formula matches text there",
    ),
    "texts and numbers for categories that are floats": (
        affinity("metadata.rating", param="mixed"),
        "hold floats under.*the formula takes whole numbers and texts there: it takes the default for each of them; store one",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_formula_that_reads_what_no_point_has_is_told(client: Any, name: str) -> None:
    expression, said = MISTAKES[name]
    executor = Executor(client, "docs")
    [message] = told(executor, over(score() + expression))
    assert all(part in message for part in said.split(".*")), message
    assert told(executor, over(score() + expression)) == []  # once is enough


RIGHT = (
    score()
    + field("metadata.rating", default=0)
    + 0 * field("metadata.rating")
    + field("metadata.prices", default=0)
    + field("metadata.offers[0].price", default=0)
    + 0 * datetime_field("metadata.day", default=LONG_AGO)
    + 0 * geo_distance((46.0, 8.0), "metadata.place", default=0)
    + affinity("metadata.topic", param="taste")
    + when(condition("metadata.topic"))
    + 0 * field("metadata.place.lat", default=0)
    + when(condition("metadata.pages", 103))
    + when(condition("metadata.new", True))
    + when(condition("metadata.day", "2026-01-02"))
    + when(condition("metadata.mixed", 1))
    + when(condition("metadata.mixed", "1"))
    + affinity("metadata.mixed", param="mixed")
)


def test_what_is_there_costs_no_request() -> None:
    client = CountingClient()
    filled(client)
    executor = Executor(client, "docs")
    assert [each for each in told(executor, over(RIGHT)) if "lists of several values" not in each] == []  # as servers say first
    client.calls.clear()
    for _ in range(3):
        assert told(executor, over(RIGHT)) == []
    assert client.calls == ["query_points"] * 3


def test_mistakes_cost_one_sample_and_each_a_search_for_a_point_that_has_the_key() -> None:
    client = CountingClient()
    filled(client)
    executor = Executor(client, "docs")
    told(executor, Nearest())
    client.calls.clear()
    for key in ("rating", "ratings", "zzz"):
        assert len(told(executor, over(score() + field(key, default=0)))) == 1
    assert client.calls == ["query_points"] * 7


def matching(key: str, match: Any) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=key, match=match)])


EXCEPT = models.MatchExcept(**{"except": ["103"]})
FILTERED: dict[str, tuple[models.Filter, str | None]] = {
    "prefix": (
        models.Filter(must=[condition("topic")]),
        "has 'topic'; did you mean 'metadata.topic'? The call's filter lets none",
    ),
    "alternatives": (models.Filter(should=[condition("topic")]), "did you mean 'metadata.topic'?"),
    "least": (models.Filter(min_should=models.MinShould(conditions=[condition("topic")], min_count=1)), "'metadata.topic'?"),
    "inner": (models.Filter(must=[models.Filter(must=condition("topic"))]), "did you mean 'metadata.topic'?"),
    "nested": (
        models.Filter(
            must=[
                models.NestedCondition(nested=models.Nested(key="offers", filter=models.Filter(must=[condition("price", 3)])))
            ]
        ),
        "has 'offers.price'; did you mean 'metadata.offers[].price'?",
    ),
    "range of texts": (
        models.Filter(must=[models.FieldCondition(key="metadata.year", range=models.Range(gte=2001))]),
        "hold text under 'metadata.year', and the call's filter reads a number there: it lets none of them through; store",
    ),
    "dates of numbers": (
        models.Filter(must=[models.FieldCondition(key="metadata.rating", range=models.DatetimeRange(gte=LONG_AGO))]),
        "reads a date-time there: it lets none of them through; give a range of numbers",
    ),
    "place of texts": (
        models.Filter(must=[models.FieldCondition(key="metadata.topic", geo_radius=models.GeoRadius(center=HERE, radius=1))]),
        "reads a place there",
    ),
    "text for numbers": (
        models.Filter(must=[condition("metadata.pages", "103")]),
        "hold whole numbers under 'metadata.pages', and the call's filter matches text there: it lets none of them through; "
        "match a whole number, without quotes",
    ),
    "one of some texts for numbers": (matching("metadata.pages", models.MatchAny(any=["103", "2020-01-01"])), "matches text"),
    "a text for numbers": (matching("metadata.pages", models.MatchText(text="103")), "matches text there"),
    "a text for true": (matching("metadata.new", models.MatchValue(value="true")), "match true or false, without quotes"),
    "a number for true": (matching("metadata.new", models.MatchValue(value=1)), "matches a whole number there"),
    "true for numbers": (matching("metadata.pages", models.MatchValue(value=True)), "matches true or false there"),
    "a number for texts": (matching("metadata.year", models.MatchValue(value=2001)), "match text, in quotes"),
    "numbers for texts": (matching("metadata.year", models.MatchAny(any=[2001, 2002])), "hold text under"),
    "a whole number for floats": (matching("metadata.rating", models.MatchValue(value=1)), "give a range of numbers"),
    "a day for date-times": (
        matching("metadata.at", models.MatchValue(value="2026-01-02")),
        "hold date-times under 'metadata.at', and the call's filter matches a day there: it lets none of them through; give a "
        "range of date-times",
    ),
    "numbers for date-times": (
        models.Filter(must=[models.FieldCondition(key="metadata.at", range=models.Range(gte=2026))]),
        "give a range of date-times",
    ),
    "text for places": (matching("metadata.place", models.MatchValue(value="Bern")), "hold places under"),
    "text for an object": (matching("metadata.author", models.MatchValue(value="Ada")), "such as 'metadata.author.name'"),
    "a day that is not there": (matching("metadata.day", models.MatchValue(value="2025-01-01")), None),
    "a time that is not there": (matching("metadata.at", models.MatchValue(value="2025-01-01T12:00:00Z")), None),
    "a text in a key with several types": (matching("metadata.mixed", models.MatchValue(value="rail")), None),
    "a number in a key with several types": (matching("metadata.mixed", models.MatchValue(value=777)), None),
    "one of days and texts": (matching("metadata.day", models.MatchAny(any=["2025-01-01", "never"])), None),
    "an alternative for each type": (
        models.Filter(should=[condition("metadata.pages", "777"), condition("metadata.pages", 777)]),
        None,
    ),
    "an alternative that reads nothing": (
        models.Filter(should=[condition("metadata.pages", "777"), models.HasIdCondition(has_id=[999])]),
        None,
    ),
    "alternatives of the wrong type": (
        models.Filter(should=[condition("metadata.pages", "777"), condition("metadata.pages", "778")]),
        "matches text there",
    ),
    "what is excepted": (
        models.Filter(must=[condition("metadata.topic", "sea"), models.FieldCondition(key="metadata.pages", match=EXCEPT)]),
        None,
    ),
    "a value that is not there": (models.Filter(must=[condition("metadata.topic", "sea")]), None),
    "ids": (models.Filter(must=[models.HasIdCondition(has_id=[999])]), None),
    "what must be empty": (
        models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="metadata.topic"))]),
        None,
    ),
    "what must not be": (
        models.Filter(must=[condition("metadata.topic", "sea")], must_not=[condition("archived", True)]),
        None,
    ),
}


def skip_where_local_mode_is_old(case: str) -> None:
    """Skip cases that local mode of qdrant-client 1.17 answers as Python compares values: True is 1, and 777 is 777.0."""
    otherwise = {"a text for numbers", "a number for true", "a whole number for floats", "metadata.new"}
    if case in otherwise and current().kind == "local" and version("qdrant-client").startswith("1.17."):
        pytest.skip("local mode of qdrant-client 1.17 compares as Python does")


@pytest.mark.parametrize("name", FILTERED)
def test_a_filter_that_lets_nothing_through_is_looked_at(client: Any, name: str) -> None:
    skip_where_local_mode_is_old(name)
    filter, said = FILTERED[name]
    found = told(Executor(client, "docs"), Nearest(), SearchOptions(limit=5, filter=filter))
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_groups_by_a_key_that_is_nowhere_are_told(client: Any) -> None:
    [message] = told(Executor(client, "docs"), Nearest(), SearchOptions(limit=5, group_by="topic"))
    assert "has 'topic'; did you mean 'metadata.topic'? The call's group_by leaves each of them out" in message


@pytest.mark.parametrize("key", ["metadata.rating", "metadata.new", "metadata.author"])
def test_groups_by_what_makes_none_are_told(client: Any, key: str) -> None:
    skip_where_local_mode_is_old(key)
    [message] = told(Executor(client, "docs"), Nearest(), SearchOptions(limit=5, group_by=key))
    assert "the call's group_by takes whole numbers and texts there: it leaves each of them out; " in message
    assert told(Executor(client, "docs"), Nearest(), SearchOptions(limit=5, group_by="metadata.pages")) == []


def test_params_that_weigh_categories_of_another_type_are_told_once_and_cost_nothing_after() -> None:
    client = CountingClient()
    filled(client)
    executor, strategy = Executor(client, "docs"), over(score() + affinity("metadata.pages", param="taste"))
    assert ["matches text there" in each for each in told(executor, strategy) if "lists of" not in each] == [True]
    client.calls.clear()
    assert told(executor, strategy) == []
    assert client.calls == ["query_points"]


def test_a_plan_that_is_asked_to_names_keys_before_any_query_and_the_query_still_does(client: Any) -> None:
    executor, strategy = Executor(client, "docs"), over(score() + field("rating", default=0))
    options = SearchOptions(limit=5, filter=matching("metadata.pages", models.MatchValue(value="103")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = executor.answer(strategy, options, lambda plan: plan.check_keys())
    found = [each for each in plan.warnings if each.code in ("absent-key", "other-type")]
    assert [each.code for each in found] == ["absent-key", "other-type"]
    assert set(found) <= set(plan.describe().warnings)
    assert any("did you mean 'metadata.rating'" in each for each in told(executor, strategy))


@pytest.mark.parametrize("key", ["rating", "metadata.pages"])
def test_making_indexes_tells_of_keys_that_no_point_has_and_of_values_of_another_type(key: str) -> None:
    strategy = over(score() + when(condition(key, "103")))
    empty = open_client()
    empty.create_collection("docs", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    ensure_indexes(empty, "docs", strategy)  # without a word: what is there may come yet
    said = "did you mean 'metadata.rating'" if key == "rating" else "match a whole number, without quotes"
    with pytest.warns(PlanWarning, match=said):
        ensure_indexes(filled(open_client()), "docs", strategy)


def test_langchain_tells_of_a_match_of_another_type_and_describe_of_keys_before_any_query(client: Any) -> None:
    pytest.importorskip("langchain_core")
    import langchain_qdrant_rerank as langchain

    retriever: Any = langchain.QdrantRerankRetriever(
        client=client, collection_name="docs", encoders={"": lambda text: [1.0, 0.0]}, payload="flat", strategy=Nearest()
    )
    filter = matching("metadata.pages", models.MatchValue(value="103"))
    assert [each.code for each in retriever.describe(filter=filter).warnings] == ["other-type"]
    with pytest.warns(PlanWarning, match="match a whole number, without quotes"):
        assert retriever.invoke("q", filter=filter) == []


def test_llama_index_tells_of_a_match_of_another_type_and_describe_of_keys_before_any_query(client: Any) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

    import llama_index_qdrant_rerank as llama_index

    retriever: Any = llama_index.QdrantRerankRetriever(
        client=client, collection_name="docs", encoders={"": lambda text: [1.0, 0.0]}, payload="flat", strategy=Nearest()
    )
    filters = MetadataFilters(filters=[MetadataFilter(key="metadata.pages", value="103")])
    assert [each.code for each in retriever.describe(filters=filters).warnings] == ["other-type"]
    with pytest.warns(PlanWarning, match="match a whole number, without quotes"):
        assert retriever.with_options(filters=filters).retrieve("q") == []


def test_the_filter_of_a_stage_and_the_blend_of_a_reranker_are_looked_at(client: Any) -> None:
    executor = Executor(client, "docs", reranker=lambda query, texts: [1.0] * len(texts))
    [message] = told(executor, Nearest(filter=models.Filter(must=[condition("topic")])))
    assert "The filter of Nearest lets none of them through" in message
    blend = Rerank(blend=rerank_score() + field("rating", default=0)).over(Nearest(limit=9))
    assert "has 'rating'" in told(executor, blend)[0]


async def test_async_calls_are_told_as_well(client: Any) -> None:
    with pytest.warns(PlanWarning, match="did you mean 'metadata.rating'"):
        await AsyncExecutor(client, "docs").retrieve(over(score() + field("rating", default=0)), ASKED, SearchOptions(limit=5))


def test_nothing_is_said_of_few_points_of_indexed_keys_of_texts_and_of_what_was_not_asked_for(client: Any) -> None:
    wrong = over(score() + field("rating", default=0))
    few = filled(open_client(), 19)
    assert told(Executor(few, "docs"), wrong) == []
    assert told(Executor(client, "docs"), wrong, SearchOptions(limit=5, with_payload=["text"])) == []
    assert told(Executor(client, "docs"), over(score() + when(condition("text", "x")))) == []
    learned = Formula(score() + field("metadata.rating", default=0), trained=Trained()).over(Nearest(limit=20))
    assert told(Executor(client, "docs"), learned) == []


@pytest.fixture
def indexed(tmp_path: Path) -> Iterator[Any]:
    """An engine that has payload indexes: local mode has none."""
    if current().kind != "local":
        yield filled(open_client())
        return
    pytest.importorskip("qdrant_edge")
    from qdrant_rerank.edge import EdgeClient

    with closing(EdgeClient(tmp_path / "edge")) as client:
        yield filled(client)


def test_a_key_whose_index_holds_a_point_is_for_rare_values_and_an_empty_index_hides_no_mistake(indexed: Any) -> None:
    indexed.create_payload_index("docs", "boost", models.PayloadSchemaType.FLOAT, wait=True)
    [message] = told(Executor(indexed, "docs"), over(score() + field("boost", default=0)))
    assert "has 'boost'" in message
    indexed.set_payload("docs", {"boost": 1.0}, [3], wait=True)
    assert told(Executor(indexed, "docs"), over(score() + field("boost", default=0))) == []


def test_a_whole_number_finds_floats_by_an_integer_index(indexed: Any) -> None:
    wrong = SearchOptions(limit=5, filter=matching("metadata.rating", models.MatchValue(value=777)))
    assert len(told(Executor(indexed, "docs"), Nearest(), wrong)) == 1
    indexed.create_payload_index("docs", "metadata.rating", models.PayloadSchemaType.INTEGER, wait=True)
    assert told(Executor(indexed, "docs"), Nearest(), wrong) == []


def test_a_sample_that_cant_be_drawn_says_nothing_and_is_not_tried_again(client: Any) -> None:
    class NoSamples(CountingClient):
        def query_points(self, *args: Any, **options: Any) -> Any:
            if isinstance(options.get("query"), models.SampleQuery):
                self.calls.append("sample")
                raise ValueError("forbidden")
            return super().query_points(*args, **options)

    shy = NoSamples()
    filled(shy)
    executor = Executor(shy, "docs")
    for key in ("rating", "zzz"):
        assert told(executor, over(score() + field(key, default=0))) == []
    assert shy.calls.count("sample") == 1


def test_the_sample_is_within_the_fixed_filter() -> None:
    client = open_client()
    client.create_collection("two", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(
            id=n,
            vector=[1.0, n / 100],
            payload={"tenant": "A", "text": "x"} if n % 2 else {"tenant": "B", "secret": {"rating": 1}},
        )
        for n in range(60)
    ]
    client.upsert("two", points, wait=True)
    mine = models.Filter(must=[condition("tenant", "A")])
    [message] = told(Executor(client, "two", fixed_filter=mine), over(score() + field("rating", default=0)))
    assert message == f"no point of 'two' has 'rating'. {DEFAULT}"


RARE = over(score() + field("boost", default=0) + field("zzz", default=0))


def rarely_boosted(client: Any) -> Any:
    """500 points, of which one has a boost, that a sample of 100 misses four times in five."""
    client.create_collection("rare", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    points = [models.PointStruct(id=n, vector=[1.0, n / 100], payload={"year": n}) for n in range(500)]
    client.upsert("rare", [*points, models.PointStruct(id=500, vector=[1.0, -9.0], payload={"boost": 1})], wait=True)
    return client


def test_a_key_that_a_single_point_has_is_no_mistake() -> None:
    client = rarely_boosted(open_client())
    assert [told(Executor(client, "rare"), RARE) for _ in range(3)] == [[f"no point of 'rare' has 'zzz'. {DEFAULT}"]] * 3


def test_where_no_point_can_be_looked_for_the_sample_has_to_do() -> None:
    class Strict(CountingClient):
        def _refuse(self, filter: Any) -> None:
            if filter is not None and filter.must_not:
                raise ValueError("strict mode")

        def query_points(self, *args: Any, **options: Any) -> Any:
            self._refuse(options.get("query_filter"))
            return super().query_points(*args, **options)

        def query_batch_points(self, *args: Any, **options: Any) -> Any:
            for request in options["requests"]:
                self._refuse(request.filter)
            return super().query_batch_points(*args, **options)

    found = told(Executor(rarely_boosted(Strict()), "rare"), RARE)
    assert f"none of 100 sampled points of 'rare' has 'zzz'. {DEFAULT}" in found


def test_a_large_collection_is_not_searched_for_a_key() -> None:
    class Large(CountingClient):
        def get_collection(self, *args: Any, **options: Any) -> Any:
            return super().get_collection(*args, **options).model_copy(update={"points_count": 100_001})

    client = Large()
    filled(client)
    executor = Executor(client, "docs")
    told(executor, Nearest())
    client.calls.clear()
    messages = told(executor, over(score() + field("zzz", default=0)))  # on a server also of the missing index
    assert f"none of 30 sampled points of 'docs' has 'zzz'. {DEFAULT}" in messages
    assert client.calls == ["query_points"] * 2


@pytest.mark.parametrize("selected", [["metadata"], models.PayloadSelectorInclude(include=["metadata.rating", "rating"])])
def test_keys_that_a_call_selects_are_looked_for_and_others_are_not(selected: Any) -> None:
    with Executor(filled(open_client()), "docs") as executor:
        misspelt = Formula(score() + field("metadata.ratin", default=0) + field("rating", default=0)).over(Nearest(limit=9))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            executor.retrieve(misspelt, ASKED, SearchOptions(limit=5, with_payload=selected))
            executor.retrieve(
                misspelt, ASKED, SearchOptions(limit=5, with_payload=models.PayloadSelectorExclude(exclude=["x"]))
            )
        told = " ".join(text for each in caught if not (text := str(each.message)).startswith("each of the "))  # of shards
    assert ("'metadata.ratin'" in told) == (selected == ["metadata"])
    assert ("has 'rating'" in told) == (selected != ["metadata"])


# The fixed filter, beyond which nothing is shown but keys

OTHERS = "somebody else's"


@pytest.fixture
def shared() -> Any:
    """A collection whose points are of two tenants, under `metadata.tenant`."""
    client = CountingClient()
    client.create_collection("docs", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    stored = [
        {"text": "t", "metadata": {"tenant": "A" if n % 2 else OTHERS, "year": n, "tags": ["x"], "by": [{"name": OTHERS}]}}
        for n in range(60)
    ]
    client.upsert(
        "docs", [models.PointStruct(id=n, vector=[1.0, 0.0], payload=each) for n, each in enumerate(stored)], wait=True
    )
    return client


def only(*conditions: models.Condition) -> models.Filter:
    return models.Filter(must=list(conditions))


FIXED = "The fixed_filter lets none of them through"
MISSPELT: dict[str, tuple[models.Filter, str]] = {
    "prefix": (only(condition("tenant", "A")), f"no point of 'docs' has 'tenant'; did you mean 'metadata.tenant'? {FIXED}"),
    "spelling": (only(condition("metadata.tenent", "A")), "has 'metadata.tenent'; did you mean 'metadata.tenant'?"),
    "alternatives": (models.Filter(should=[condition("tenant", "A")]), "did you mean 'metadata.tenant'?"),
    "nothing like it": (only(condition("zzz", "A")), f"no point of 'docs' has 'zzz'. {FIXED}"),
    "another type": (
        only(models.FieldCondition(key="metadata.tenant", range=models.Range(gte=1))),
        "hold text under 'metadata.tenant', and the fixed_filter reads a number there: it lets none of them through",
    ),
}


@pytest.mark.parametrize("name", MISSPELT)
async def test_a_fixed_filter_that_lets_nothing_through_is_told_at_the_first_query(shared: Any, name: str) -> None:
    fixed, said = MISSPELT[name]
    executor = Executor(shared, "docs", fixed_filter=fixed)
    [message] = told(executor, Nearest())
    assert said in message
    assert OTHERS not in message
    plan = executor.answer(Nearest(), None, lambda plan: plan.check_keys())
    assert message in map(str, plan.describe().warnings)
    shared.calls.clear()
    assert told(executor, Nearest()) == []  # once is enough
    assert shared.calls == ["query_points"]
    awaited = AsyncExecutor(shared, "docs", fixed_filter=fixed)
    with pytest.warns(PlanWarning, match="fixed_filter"):
        assert await awaited.retrieve(Nearest(), ASKED) == []


def test_a_fixed_filter_whose_keys_are_there_is_not_told_of_and_costs_a_look_where_nothing_is_found(shared: Any) -> None:
    executor = Executor(shared, "docs", fixed_filter=only(condition("metadata.tenant", "nobody")))
    assert told(executor, Nearest()) == []
    mine = Executor(shared, "docs", fixed_filter=only(condition("metadata.tenant", "A")))
    told(mine, Nearest())
    shared.calls.clear()
    assert len(mine.retrieve(Nearest(), ASKED)) == 10
    assert shared.calls == ["query_points"]


def test_nothing_is_said_of_a_fixed_filter_where_there_are_too_few_points_or_they_cant_be_looked_at() -> None:
    few = filled(CountingClient(), 19)
    assert told(Executor(few, "docs", fixed_filter=only(condition("tenant"))), Nearest()) == []

    class Strict(CountingClient):
        def query_points(self, *args: Any, **options: Any) -> models.QueryResponse:
            if isinstance(options.get("query"), models.SampleQuery):
                raise ValueError("strict mode")
            return super().query_points(*args, **options)

    assert told(Executor(filled(Strict()), "docs", fixed_filter=only(condition("tenant"))), Nearest()) == []


def test_of_points_beyond_the_fixed_filter_only_keys_and_types_come_back(shared: Any) -> None:
    executor = Executor(shared, "docs", fixed_filter=only(condition("metadata.tenant", "A")))
    request = models.QueryRequest(limit=60, with_payload=True, with_vector=True)
    [points] = executor.search(Search([request], keys_alone=True))
    assert len(points) == 60
    hidden = {"tenant": "x", "year": 0, "tags": ["x"], "by": [{"name": "x"}]}
    blank = models.ScoredPoint(id=0, version=0, score=0.0, payload={"text": "x", "metadata": hidden})
    assert all(point == blank for point in points)
    [mine] = executor.search(Search([request]))
    assert len(mine) == 30


def test_a_value_that_is_hidden_keeps_its_type() -> None:
    values = {
        "long": "word " * 20,
        "line": "a\nb",
        "real": 2.5,
        "yes": False,
        "day": "2031-07-06",
        "time": "2031-07-06T10:00:00Z",
        "id": "12345678-1234-1234-1234-123456789abc",
        "place": {"lat": 46.1, "lon": 8.2},
        "nested": [[3, "secret"]],
        "none": None,
        "infinite": float("inf"),
    }
    [[point]] = hide_values([[models.ScoredPoint(id=7, version=3, score=0.5, payload=values)]])
    assert point == models.ScoredPoint(
        id=0,
        version=0,
        score=0.0,
        payload={
            "long": "x" * 65,
            "line": "x" * 65,
            "real": 0.5,
            "yes": True,
            "day": "2000-01-01",
            "time": "2000-01-01T00:00:00Z",
            "id": "00000000-0000-0000-0000-000000000000",
            "place": {"lat": 0.0, "lon": 0.0},
            "nested": [[0, "x"]],
            "none": None,
            "infinite": None,
        },
    )
    [[bare]] = hide_values([[models.ScoredPoint(id=7, version=3, score=0.5)]])
    assert bare.payload == {}


@pytest.mark.parametrize("fixed", [models.Filter(), models.Filter(must=[]), models.Filter(must=[models.Filter(should=[])])])
def test_a_fixed_filter_without_a_condition_is_refused(client: Any, fixed: models.Filter) -> None:
    with pytest.raises(StrategyError, match="fixed_filter has no condition, so that it keeps nothing out: None says"):
        Executor(client, "docs", fixed_filter=fixed)


def test_a_condition_that_asks_nothing_is_refused_wherever_it_is(client: Any) -> None:
    idle, says = (
        only(models.FieldCondition(key="metadata.topic")),
        r"the condition on 'metadata.topic' asks nothing of it: give",
    )
    for executor, strategy, options in (
        (Executor(client, "docs", fixed_filter=idle), Nearest(), None),
        (Executor(client, "docs"), Nearest(filter=idle), None),
        (Executor(client, "docs"), Nearest(), SearchOptions(filter=idle)),
    ):
        with pytest.raises(PlanError, match=says):
            executor.retrieve(strategy, ASKED, options)

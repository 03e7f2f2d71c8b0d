"""What an agent's search tool takes and answers: nothing that a model sends raises, and answers fit their budget."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import httpx
import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank import Formula, Mmr, Nearest, Rerank, SearchOptions, Strategy, StrategyError, from_json, score, to_json
from qdrant_rerank._internals import (
    FilterArgument,
    ToolCall,
    ToolHit,
    ToolSpec,
    Trained,
    cap_k,
    filter_keys,
    narrow,
    pick_filters,
    pick_threshold,
)
from qdrant_rerank.errors import ClientError, PayloadError, PlanError, QueryError, ScoringError
from qdrant_rerank.expressions import sigmoid
from qdrant_rerank.planning import PayloadKeySchema, PayloadSchema, ValueCount

CATEGORY = FilterArgument("metadata.category", "category", "keyword", ("Fox", "dog"), True)
TAGS = FilterArgument("tags", "tags", "keyword", ("red", "blue"))
YEAR = FilterArgument("year", "year", "integer", least=2000, most=2026)
RATING = FilterArgument("rating", "rating", "float")
DAY = FilterArgument("day", "day", "datetime")
NEW = FilterArgument("new", "new", "bool")
ANY = FilterArgument("any", "any")
SPEC = ToolSpec((CATEGORY, TAGS, YEAR, RATING, DAY, NEW, ANY))


def read(**arguments: Any) -> ToolCall:
    call = SPEC.read({"query": "fox", **arguments})
    assert isinstance(call, ToolCall), call
    return call


def refuse(**arguments: Any) -> str:
    text = SPEC.read({"query": "fox", **arguments})
    assert isinstance(text, str), text
    return text


def condition(**arguments: Any) -> models.FieldCondition:
    filter = read(**arguments).filter
    assert filter is not None
    assert isinstance(filter.must, list)
    [only] = filter.must
    assert isinstance(only, models.FieldCondition)
    return only


def test_arguments_are_typed() -> None:
    parameters = SPEC.parameters()
    assert parameters["required"] == ["query"]
    assert {name for name, each in parameters["properties"].items() if {"type": "null"} not in each.get("anyOf", [])} == {
        "query"
    }
    properties = {name: {**each, **each.get("anyOf", [{}])[0]} for name, each in parameters["properties"].items()}
    assert properties["k"]["maximum"] == 10
    assert properties["category"]["items"] == {"type": "string", "enum": ["Fox", "dog"]}
    assert "e.g. 'red', 'blue'" in properties["tags"]["description"]
    assert properties["min_year"]["type"] == "integer"
    assert "about 2000 to 2026" in properties["max_year"]["description"]
    assert properties["min_rating"]["type"] == "number"
    assert "2026-01-31" in properties["max_day"]["description"]
    assert properties["new"]["type"] == "boolean"
    assert properties["any"]["items"] == {"type": "string"}
    assert SPEC.model().model_json_schema() == {**parameters, "title": "SearchArguments"}


def test_a_call_is_read() -> None:
    assert read() == ToolCall("fox", 4)
    assert read(k=2, category=None) == ToolCall("fox", 2)
    assert condition(category="fox").match == models.MatchAny(any=["Fox"])
    assert condition(tags=["red", "green"]).match == models.MatchAny(any=["red", "green"])
    assert condition(any=7).match == models.MatchAny(any=["7"])
    assert condition(new="TRUE").match == models.MatchValue(value=True)
    assert condition(min_year="2001", max_year=2002.0).range == models.Range(gte=2001, lte=2002)
    assert condition(min_rating="2.5").range == models.Range(gte=2.5)
    day = condition(min_day="2026-01-02T12:00:00+02:00", max_day="2026-01-31").range
    utc = dt.UTC
    assert day == models.DatetimeRange(gte=dt.datetime(2026, 1, 2, 10, tzinfo=utc), lt=dt.datetime(2026, 2, 1, tzinfo=utc))
    assert read(category=[]).filter is None
    both = read(category="dog", min_year="2000", min_day="2026-01-02")
    assert both.filters == ("category='dog'", "min_year=2000", "min_day='2026-01-02'")


@pytest.mark.parametrize(("k", "capped"), [(0, 1), (-3, 1), (10**9, 10), (3.7, 3), ("7", 7)])
def test_k_is_clamped_and_the_model_is_told(k: Any, capped: int) -> None:
    call = read(k=k)
    assert call.k == capped
    assert bool(call.notes) == (k != "7")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"query": ""}, "query is empty. Call again with what to search for"),
        ({"query": " \n?!"}, "query is empty"),
        ({"query": None}, "query is empty"),
        ({"query": 7}, "query must be a text"),
        ({"k": "many"}, "k must be a whole number from 1 to 10"),
        ({"k": True}, "k must be"),
        ({"k": float("nan")}, "k must be"),
        ({"k": 10**400}, "k must be"),
        ({"k": [1]}, "k must be"),
        ({"catgory": "x"}, "no argument 'catgory': did you mean 'category'? The arguments are query, k, category, tags"),
        ({"filter": {"must": []}}, "no argument 'filter'"),
        ({"category": {"$ne": 1}}, "category must be a list of at most 50 texts"),
        ({"tags": ["x"] * 51}, "tags must be a list of at most 50 texts"),
        ({"new": "perhaps"}, "new must be true or false"),
        ({"min_year": "soon"}, "min_year must be a number"),
        ({"max_day": "tomorrow"}, "max_day must be a date such as 2026-01-31"),
        ({"max_day": "0000-00-00"}, "max_day must be a date"),
    ],
)
def test_what_cant_be_comes_back_as_text_that_says_what_to_send(arguments: dict[str, Any], said: str) -> None:
    text = refuse(**arguments)
    assert said in text
    assert "Call again" in text


def test_values_that_were_unknown_are_searched_for_as_they_may_be_there_by_now_and_said_where_nothing_is_found() -> None:
    call = read(category=["dog", "cat"])
    assert call.notes == ()
    assert call.filters == ("category='dog' or 'cat'",)
    assert condition(category="foy").match == models.MatchAny(any=["foy"])
    said = SPEC.answer(read(category="foy"), [])
    assert said.startswith(
        "No document was found with category='foy'. Search again without some of these, or with other values."
    )
    assert said.endswith(" When this tool was made, no document had category='foy'. There were 'Fox', 'dog'.")
    assert "was made" not in SPEC.answer(read(category="foy"), HITS)


def bounds(**arguments: Any) -> models.DatetimeRange | None:
    filter = read(**arguments).filter
    if filter is None:
        return None
    assert isinstance(filter.must, list)
    [only] = filter.must
    assert isinstance(only, models.FieldCondition)
    assert isinstance(only.range, models.DatetimeRange)
    return only.range


def test_the_first_and_the_last_year_mean_no_limit() -> None:
    for lasting in ("9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-10:00"):
        assert bounds(max_day=lasting) is None
        assert read(max_day=lasting).filters == ()
        found = bounds(min_day=lasting)
        assert found is not None
        assert found.gte is not None
    for early in ("0001-01-01", "0001-01-01T00:00:00+23:00"):
        assert bounds(min_day=early) is None
        assert bounds(max_day=early) is not None
    both = bounds(min_day="2026-01-02", max_day="9999-12-31")
    assert both is not None
    assert (both.gte, both.lt, both.lte) == (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), None, None)


def test_a_long_query_is_cut_and_odd_characters_do_no_harm() -> None:
    call = read(query="x" * 9000 + "\ud800")
    assert len(call.query) == 2000
    assert "first 2000 characters" in call.notes[0]
    assert read(query="a\0b \ud800 c").query == "a b ? c"
    assert condition(any="\ud800 a" + "x" * 200).match == models.MatchAny(any=["? a" + "x" * 200])


VALUES = {"category": "dog", "tags": ["a"], "year": None, "price": 4.5, "new": True}
HITS = [ToolHit(str(n), 0.9 - n / 100, f"text {n}", VALUES) for n in range(3)]


def test_hits_have_ids_scores_and_values() -> None:
    text = SPEC.answer(read(k=99), HITS)
    assert text.startswith("k is 10: it is a whole number from 1 to 10.\n3 documents were found, the best first.\n\n[1] id=0")
    assert "[2] id=1 score=0.89 category='dog' tags=[\"a\"] price=4.5 new=true\ntext 1" in text
    assert SPEC.answer(read(), [ToolHit("9", None, "t", {})]) == "1 document was found.\n\n[1] id=9\nt"


def test_no_hit_says_so() -> None:
    assert "No document was found. Search again with other words" in SPEC.answer(read(), [])
    assert "found with tags='red' and min_year=1. Search again without" in SPEC.answer(read(tags="red", min_year=1), [])


def test_low_confidence_is_said_where_scores_are_calibrated() -> None:
    spec = ToolSpec(low_confidence=0.95)
    assert "Low confidence: the best score is 0.90, below 0.95." in spec.answer(read(), HITS)
    assert "Low confidence" not in ToolSpec(low_confidence=0.5).answer(read(), HITS)
    assert "Low confidence" not in spec.answer(read(), [ToolHit("9", None, "t", {})])


@pytest.mark.parametrize("max_tokens", [200, 300, 2000])
@pytest.mark.parametrize("text", ["word " * 3000, "漢字" * 3000, "x", ""])
def test_an_answer_fits_its_budget(max_tokens: int, text: str) -> None:
    spec = ToolSpec((CATEGORY, TAGS), max_k=50, max_tokens=max_tokens, low_confidence=2.0)
    hits = [ToolHit("i" * 36, 0.5, text, {"category": "漢" * 500, "tags": ["b" * 300] * 9}) for _ in range(50)]
    call = spec.read({"query": "q" * 3000, "k": 1000, "category": ["漢" * 900, "Fox"], "tags": ["漢" * 900] * 50})
    assert isinstance(call, ToolCall)
    for found in (hits, hits[:1], []):
        assert len(spec.answer(call, found).encode()) <= 3 * max_tokens
    shown = spec.answer(call, hits)
    assert "[1] id=" in shown
    assert ("are shown" in shown) == (shown.count("] id=") < 50)


FAILURES: dict[str, tuple[Exception, str]] = {
    "odd": (ValueError("http://user:secret@host"), "The search failed (ValueError). Call again once, with other words"),
    "slow": (TimeoutError("secret"), "The search failed (TimeoutError): there was no answer in time. Call again once; if"),
    "plan": (PlanError(["no vector 'secret'"]), "failed (PlanError): the tool isn't set up as it should be. Don't call again"),
    "param": (QueryError("secret"), "failed (QueryError): the tool isn't set up as it should be. Don't call again"),
    "text": (PayloadError("secret"), "failed (PayloadError): the tool isn't set up as it should be. Don't call again"),
    "mistake": (KeyError("secret"), "failed (KeyError): the tool isn't set up as it should be. Don't call again"),
    "refused": (
        UnexpectedResponse(400, "Bad Request", b"secret", httpx.Headers()),
        "failed (UnexpectedResponse): the tool isn't set up as it should be. Don't call again",
    ),
    "formula": (
        UnexpectedResponse(400, "Bad Request", b"Expected number value for secret in the payload", httpx.Headers()),
        "failed (UnexpectedResponse): the tool isn't set up as it should be. Don't call again",
    ),
    "model": (ScoringError("secret"), "The search failed (ScoringError). Call again once, with other words"),
    "closed": (ClientError("secret"), "failed (ClientError): the tool isn't set up as it should be. Don't call again"),
    "key": (
        UnexpectedResponse(401, "Unauthorized", b"secret", httpx.Headers()),
        "failed (UnexpectedResponse): the tool isn't set up as it should be. Don't call again",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_says_what_to_do_and_nothing_of_the_error(name: str) -> None:
    error, said = FAILURES[name]
    text = SPEC.fail(error)
    assert said in text
    assert text.endswith("tell the user that the documents can't be searched at the moment.")
    assert "secret" not in text


@pytest.mark.parametrize("runtime_filter", [lambda: int("acme"), lambda: None, lambda: models.Filter(must=[])])
def test_a_run_that_brings_no_filter_is_not_searched_for_and_no_other_arguments_are_asked_for(runtime_filter: Any) -> None:
    with pytest.raises(StrategyError) as caught:
        narrow(read(), runtime_filter)
    assert "nothing was searched" in str(caught.value)
    assert "acme" not in str(caught.value)
    text = SPEC.fail(caught.value)
    assert text.startswith("Nothing was searched: the program that runs this tool didn't say which documents may be searched.")
    assert "don't call again; tell the user" in text
    assert "acme" not in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_k": 0}, "max_k"),
        ({"k": True}, "k must"),
        ({"max_tokens": 10}, "at least 200"),
        ({"low_confidence": "x"}, "low_conf"),
    ],
)
def test_caps_are_checked(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        ToolSpec(**settings)
    assert ToolSpec(k=20, max_k=5).k == 5


SCHEMA = PayloadSchema(
    "docs",
    40,
    (
        PayloadKeySchema(
            "metadata.category",
            {"keyword": 1.0},
            1.0,
            values=(ValueCount("a", 30), ValueCount("b", 10)),
            is_complete=True,
        ),
        PayloadKeySchema("category", {"keyword": 1.0}, 1.0),
        PayloadKeySchema("year", {"integer": 1.0}, 1.0, least=1, most=9, values=(ValueCount(1, 40),), is_complete=True),
        PayloadKeySchema("text", {"text": 1.0}, 1.0),
        PayloadKeySchema("metadata.k", {"keyword": 1.0}, 1.0),
        PayloadKeySchema('"1é"', {"keyword": 1.0}, 1.0),
        PayloadKeySchema('"é"', {"keyword": 1.0}, 1.0),
        PayloadKeySchema("k", {"keyword": 1.0}, 1.0),
    ),
)


def test_filters_are_typed_by_the_schema_and_have_names_of_their_own() -> None:
    keys = ["metadata.category", "category", "year", "metadata.k", '"1é"', '"é"', "k"]
    made = {each.key: each for each in pick_filters(keys, SCHEMA)}
    assert made["metadata.category"] == FilterArgument("metadata.category", "category", "keyword", ("a", "b"), True)
    assert made["year"] == FilterArgument("year", "year", "integer", (), False, 1, 9)
    names = ["category", "field_2", "year", "metadata_k", "field_1", "field_3", "field_4"]
    assert [each.name for each in made.values()] == names
    [alone] = pick_filters(["year", "year"], SCHEMA, only_types=True)
    assert alone == FilterArgument("year", "year", "integer")
    [unknown] = pick_filters(["anything"], PayloadSchema("docs"))
    assert unknown.type is None
    [rare] = pick_filters({"rare": "datetime"}, SCHEMA)
    assert (rare.type, rare.names) == ("datetime", ("min_rare", "max_rare"))


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ("category", "takes payload keys in a list"),
        (["metadata.categroy"], "has 'metadata.categroy': did you mean 'metadata.category'? For a rare key give its type"),
        (["metadata.year"], "no point that was looked at has 'metadata.year': did you mean 'year'?"),
        (["zzz"], "has 'zzz'. For a rare key give its type: filters={'zzz': 'keyword'}"),
        (
            {"year": "str"},
            "filters={'year': 'str'}: there is no such type to filter by. Types are keyword, uuid, bool, integer",
        ),
        ({"year": "flaot"}, "there is no such type to filter by: did you mean 'float'?"),
        ({"year": "keyword"}, "hold integer values there, which such a filter never finds: leave the type to the look-up"),
        (["text"], "'text' holds text values"),
        (["tenant"], "'tenant' is in the retriever's fixed_filter, which a model must not name"),
        (["users[].name"], "fixed_filter"),
    ],
)
def test_filters_that_cant_be_are_refused(filters: Any, said: str) -> None:
    inner = models.Filter(must=[models.FieldCondition(key="name", match=models.MatchValue(value="n"))])
    fixed = models.Filter(
        must=[models.Filter(should=[models.FieldCondition(key="tenant", match=models.MatchValue(value="A"))])],
        must_not=[models.NestedCondition(nested=models.Nested(key="users", filter=inner))],
    )
    assert filter_keys(fixed) == {"tenant", "users.name"}
    with pytest.raises(StrategyError) as caught:
        pick_filters(filters, SCHEMA, fixed)
    assert said in str(caught.value)


def test_where_filters_leave_too_few_points_keys_are_those_of_all_points() -> None:
    anywhere = {"metadata.tags": ("keyword",), "year": ("integer",), "metadata.authors[].name": ("keyword",)}
    few = PayloadSchema("docs")
    [year] = pick_filters(["year"], few, anywhere=anywhere)
    assert year == FilterArgument("year", "year", "integer")
    for wrong, meant in (("metadata.tagsss", "metadata.tags"), ("name", "metadata.authors[].name")):
        with pytest.raises(StrategyError, match=rf"has '{wrong}': did you mean '{re.escape(meant)}'\? For a rare key"):
            pick_filters([wrong], few, anywhere=anywhere)
    [indexed] = pick_filters(["rare"], PayloadSchema("docs", 40, (PayloadKeySchema("rare", {}, 0.0, index="datetime"),)))
    assert indexed.type == "datetime"


LIMITED: dict[str, tuple[Strategy, int]] = {
    "rerank": (Rerank(reads=5).over(Nearest(limit=50)), 5),
    "top_n": (Rerank(reads=5, top_n=3).over(Nearest(limit=50)), 10),
    "unread": (Rerank(reads=5, unread="last").over(Nearest(limit=50)), 10),
    "formula": (Formula(score()).over(Nearest(limit=7)), 7),
    "on the client": (Formula(score()).over(Nearest(limit=7)).on_client(), 7),
    "mmr": (Mmr(diversity=0.3).over(Nearest(limit=1)), 1),
    "plain": (Nearest(), 10),
    "impossible": (Rerank(reads=5).over(Formula(score()).over(Nearest(limit=2))), 10),
}


@pytest.mark.parametrize("name", LIMITED)
def test_k_is_capped_by_what_the_strategy_can_give(name: str) -> None:
    strategy, most = LIMITED[name]
    assert cap_k(10, strategy, SearchOptions()) == most
    assert cap_k(0, strategy, SearchOptions()) == 0
    if most == 7:
        assert cap_k(10, strategy, SearchOptions(offset=3)) == 4


@pytest.mark.parametrize("on_client", [False, True])
def test_a_best_score_is_doubtful_below_a_half_where_scores_are_calibrated(on_client: bool) -> None:
    formula = Formula(sigmoid(score()), trained=Trained(calibrated=True)).over(Nearest(limit=9))
    unfitted = Formula(sigmoid(score()), trained=Trained()).over(Nearest(limit=9))
    calibrated, plain = (each.on_client() if on_client else each for each in (formula, unfitted))
    assert pick_threshold("auto", calibrated) == 0.5
    assert pick_threshold("auto", from_json(to_json(calibrated))) == 0.5
    for other in (plain, calibrated.uncheck(), Nearest(), Rerank().over(formula)):
        assert pick_threshold("auto", other) is None
    assert pick_threshold(0.3, plain) == 0.3
    assert pick_threshold(None, calibrated) is None

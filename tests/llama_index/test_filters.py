"""`to_qdrant_filter` means what LlamaIndex's own in-memory filters mean."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from qdrant_client import QdrantClient, models

from llama_index_qdrant_rerank import to_qdrant_filter
from qdrant_rerank import QueryError
from qdrant_rerank.planning import Capabilities
from tests.engines import open_client

try:
    from llama_index.core.vector_stores.utils import build_metadata_filter_fn
except ImportError:
    pytest.skip("this llama-index-core has no filters of its own to compare with", allow_module_level=True)

Op = FilterOperator
NAMES = ("red", "Red", "RED", "blue", "Blue", "bluebell", "")
DAYS = ("2024-12-31", "2025-01-01", "2025-01-02", "2025-02-01")
TAGS = ("a", "b", "c")
VALUES: dict[str, list[Any]] = {
    "name": [*NAMES, None],
    "year": [2019, 2020, 2021, 0, 1, 2**60, 2**60 + 1, None],
    "rating": [1.5, 2, 2.0, 2.5, 1.0, 0, None],
    "live": [True, False, None],
    "tags": [["a"], ["a", "b"], ["b", "c"], [], None],
    "codes": [[1, 2], [2, 3], [2.5, 1], None],
    "day": [*DAYS, None],
}
ABSENT = object()


def worlds() -> list[dict[str, Any]]:
    """Metadata with every value of every key, in random company."""
    chance = random.Random(7)
    made = [{key: chance.choice([*values, ABSENT]) for key, values in VALUES.items()} for _ in range(60)]
    return [{key: value for key, value in world.items() if value is not ABSENT} for world in made]


WORLDS = worlds()


@pytest.fixture(scope="module", params=["local", "edge"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantClient]:
    """Local mode, and Qdrant's own engine."""
    made: Any = open_client()
    if request.param == "edge":
        pytest.importorskip("qdrant_edge")
        from qdrant_rerank.edge import EdgeClient

        made = EdgeClient(str(tmp_path_factory.mktemp("edge")))
    made.create_collection("worlds", vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT))
    made.upsert("worlds", [models.PointStruct(id=number, vector=[1.0], payload=world) for number, world in enumerate(WORLDS)])
    yield made
    made.close()


def found(client: QdrantClient, wanted: MetadataFilters) -> set[int]:
    records, _ = client.scroll("worlds", to_qdrant_filter(wanted), limit=len(WORLDS))
    return {int(record.id) for record in records}


def one(key: str, operator: FilterOperator, value: Any) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def several(items: Any) -> Any:
    return st.lists(items, min_size=1, max_size=3)


def filters_on(key: str, values: Any, *operators: FilterOperator) -> st.SearchStrategy[MetadataFilter]:
    return st.builds(MetadataFilter, key=st.just(key), operator=st.sampled_from(operators), value=values)


SCALAR = (Op.EQ, Op.NE)
ORDER = (Op.GT, Op.GTE, Op.LT, Op.LTE)
AMONG = (Op.IN, Op.NIN)
names, days, tags = st.sampled_from(NAMES), st.sampled_from(DAYS), st.sampled_from(TAGS)
numbers = st.sampled_from([0, 1, 2, 1.5, 2.0, 2.5])
years = st.sampled_from([2019, 2020, 2020.0, 2**60, 2**60 + 1])
leaves = st.one_of(
    filters_on("name", names, *SCALAR),
    filters_on("name", several(names), *AMONG),
    filters_on("name", st.sampled_from(["red", "RED", "Bluebell"]), Op.TEXT_MATCH_INSENSITIVE),
    filters_on("year", years, *SCALAR),
    filters_on("year", st.sampled_from([2019, 2020, 2020.5]), *ORDER),
    filters_on("year", several(st.sampled_from([2019, 2020, 1])), *AMONG),
    filters_on("rating", numbers, *SCALAR, *ORDER),
    filters_on("rating", several(st.sampled_from([1.5, 2.0, 1.0])), *AMONG),
    filters_on("live", st.sampled_from([0, 1, 0.0]), *SCALAR),
    filters_on("live", several(st.sampled_from([0, 1, 5])), *AMONG),
    filters_on("day", days, *SCALAR, *ORDER),
    filters_on("tags", several(tags), Op.ANY, Op.ALL),
    filters_on("tags", tags, Op.CONTAINS),
    filters_on("codes", several(st.sampled_from([1, 2, 3])), Op.ANY, Op.ALL),
    filters_on("codes", st.sampled_from([1, 2, 2.5]), Op.CONTAINS),
    filters_on("name", st.none(), Op.IS_EMPTY),
    filters_on("tags", st.none(), Op.IS_EMPTY),
)
conditions = st.sampled_from([*FilterCondition, None])


def groups(of: Any) -> st.SearchStrategy[MetadataFilters]:
    return st.builds(MetadataFilters, filters=st.lists(of, max_size=3), condition=conditions)


@settings(max_examples=60)
@given(groups(leaves))
def test_a_filter_finds_what_llama_indexs_own_function_finds(client: QdrantClient, wanted: MetadataFilters) -> None:
    meets = build_metadata_filter_fn(lambda number: WORLDS[int(number)], wanted)
    assert found(client, wanted) == {number for number in range(len(WORLDS)) if meets(str(number))}


def nested_meets(wanted: MetadataFilters, world: dict[str, Any]) -> bool:
    """LlamaIndex's function on each filter, joined as the groups say; groups without filters left out."""
    results = []
    for each in wanted.filters:
        if not isinstance(each, MetadataFilters):
            results.append(build_metadata_filter_fn(lambda _: world, MetadataFilters(filters=[each]))(""))
        elif has_filters(each):
            results.append(nested_meets(each, world))
    match wanted.condition if results else None:
        case FilterCondition.OR:
            return any(results)
        case FilterCondition.NOT:
            return not any(results)
        case _:
            return all(results)


def has_filters(group: MetadataFilters) -> bool:
    return any(not isinstance(each, MetadataFilters) or has_filters(each) for each in group.filters)


@settings(max_examples=60)
@given(groups(st.recursive(leaves, groups, max_leaves=6)))
def test_groups_nest(client: QdrantClient, wanted: MetadataFilters) -> None:
    assert found(client, wanted) == {number for number, world in enumerate(WORLDS) if nested_meets(wanted, world)}


@pytest.mark.parametrize("operator", [Op.NE, Op.NIN])
def test_ne_and_nin_find_points_without_the_key_too(client: QdrantClient, operator: FilterOperator) -> None:
    value: Any = "red" if operator == Op.NE else ["red"]
    without = {number for number, world in enumerate(WORLDS) if world.get("name") is None}
    assert without
    assert without <= found(client, one("name", operator, value))


def test_a_bool_can_be_asked_for_as_0_or_1_or_put_in_unchecked(client: QdrantClient) -> None:
    live = {number for number, world in enumerate(WORLDS) if world.get("live") is True}
    assert found(client, one("live", Op.EQ, 1)) == live
    unchecked = MetadataFilter.model_construct(key="live", value=True, operator=Op.EQ)
    assert found(client, MetadataFilters(filters=[unchecked])) == live


def test_equal_to_none_means_without_a_value(client: QdrantClient) -> None:
    without = {number for number, world in enumerate(WORLDS) if world.get("year") is None}
    assert found(client, one("year", Op.EQ, None)) == without
    assert found(client, one("year", Op.NE, None)) == set(range(len(WORLDS))) - without


def test_in_takes_a_text_with_commas_as_llama_indexs_store_does(client: QdrantClient) -> None:
    assert found(client, one("name", Op.IN, "red, bluebell")) == found(client, one("name", Op.IN, ["red", "bluebell"]))
    assert found(client, one("year", Op.IN, 2020)) == found(client, one("year", Op.EQ, 2020))


def test_all_of_nothing_is_whatever_has_a_value(client: QdrantClient) -> None:
    assert found(client, one("tags", Op.ALL, [])) == {number for number, world in enumerate(WORLDS) if world.get("tags")}


def test_one_of_nothing_is_nothing_and_none_of_nothing_everything(client: QdrantClient) -> None:
    assert found(client, one("name", Op.IN, [])) == set()
    assert found(client, one("name", Op.NIN, [])) == set(range(len(WORLDS)))


def looks_for_the_text_as_it_stands(client: QdrantClient) -> bool:
    """Servers before 1.20 do without a payload index, capitals and all; later ones match words."""
    return not Capabilities.of(client.info().version, "server").matches_words


@pytest.mark.parametrize("operator", [Op.TEXT_MATCH, Op.TEXT_MATCH_INSENSITIVE])
def test_text_matches_by_words(client: QdrantClient, operator: FilterOperator) -> None:
    text: Any = to_qdrant_filter(one("name", operator, "red")).must
    exact = operator == Op.TEXT_MATCH and looks_for_the_text_as_it_stands(client)
    names = ("red",) if exact else ("red", "Red", "RED")
    assert found(client, one("name", operator, "red")) == {
        number for number, world in enumerate(WORLDS) if world.get("name") in names
    }
    asked = [text[0].match.text] if operator == Op.TEXT_MATCH else [each.match.text for each in text[0].should]
    assert asked == (["red"] if operator == Op.TEXT_MATCH else ["red", "RED", "Red"])


@pytest.mark.parametrize(
    ("text", "moment"),
    [("2025-01-01T12:00:00+02:00", "2025-01-01T12:00:00+02:00"), ("2025-01-01", "2025-01-01T00:00:00Z")],
)
def test_dates_are_compared_as_moments(text: str, moment: str) -> None:
    translated = to_qdrant_filter(one("day", Op.GTE, text)).model_dump(mode="json", exclude_none=True)
    assert translated == {"must": [{"key": "day", "range": {"gte": moment}}]}


def test_keys_get_the_prefix_and_are_quoted_where_they_are_no_path() -> None:
    keys = ["year", "a.b[].c", "Doc Title", "ü"]
    wanted = MetadataFilters(filters=[MetadataFilter(key=key, value="x") for key in keys])
    translated: Any = to_qdrant_filter(wanted, "metadata.").must
    assert [each.key for each in translated] == ["metadata.year", "metadata.a.b[].c", 'metadata."Doc Title"', "metadata.ü"]


def test_a_key_with_a_space_is_found() -> None:
    client = open_client()
    client.create_collection("worlds", vectors_config={})
    client.upsert("worlds", [models.PointStruct(id=1, vector={}, payload={"Doc Title": "x"})])
    assert found(client, one("Doc Title", Op.EQ, "x")) == {1}


def test_no_filters_restrict_nothing() -> None:
    empty = MetadataFilters(filters=[])
    assert to_qdrant_filter(empty) == models.Filter()
    assert to_qdrant_filter(MetadataFilters(filters=[empty, MetadataFilters(filters=[empty])])) == models.Filter()


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        (
            Op.GT,
            "red",
            "the filter on 'x': '>' needs a finite number or an ISO 8601 date such as '2025-01-31' or .*, got 'red'",
        ),
        (Op.GT, "20250131", "'>' needs a finite number or an ISO 8601 date"),
        (Op.GT, "2025-13-99", "'>' needs a finite number or an ISO 8601 date"),
        (Op.LTE, [1, 2], r"'<=' needs a finite number .*, got \[1, 2\]"),
        (Op.LT, None, "'<' needs a finite number .*, got None"),
        (Op.EQ, ["a"], "'==' needs one value, got .*: use in, any or all for lists"),
        (Op.NE, [1], "'!=' needs one value"),
        (Op.EQ, float("nan"), "'==' needs a string, a finite number or a bool, got nan"),
        (Op.IN, None, "'in' needs a list, got None"),
        (Op.CONTAINS, ["a"], "'contains' needs one value, got .*: use any or all for lists"),
        (Op.TEXT_MATCH, 5, "'text_match' needs a text that isn't empty, got 5"),
        (Op.TEXT_MATCH_INSENSITIVE, " ", "'text_match_insensitive' needs a text that isn't empty, got ' '"),
    ],
)
def test_a_filter_that_makes_no_sense_says_so(operator: FilterOperator, value: Any, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        to_qdrant_filter(one("x", operator, value))


@pytest.mark.parametrize("key", ["", 'a "quoted" key'])
def test_a_key_that_qdrant_cant_have_is_refused(key: str) -> None:
    with pytest.raises(QueryError, match="keys must not be empty or hold quotation marks"):
        to_qdrant_filter(one(key, Op.EQ, 1))


def test_an_operator_of_a_later_llama_index_is_refused() -> None:
    later: Any = MetadataFilter.model_construct(key="x", value=1, operator="~=")
    with pytest.raises(QueryError, match="no meaning for the operator '~=' of the filter on 'x'"):
        to_qdrant_filter(MetadataFilters(filters=[later]))


def test_what_isnt_metadata_filters_is_refused_with_the_place_for_native_filters() -> None:
    native: Any = models.Filter()
    with pytest.raises(QueryError, match=r"filters must be LlamaIndex's MetadataFilters, got Filter .* goes into filter="):
        to_qdrant_filter(native)

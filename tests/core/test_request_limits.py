"""What no engine takes, strict mode forbids or a version doesn't know is a plan's problem, wherever it is in a request."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanError,
    PlanWarning,
    Query,
    QueryError,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    ServerInference,
    Strategy,
    StrategyError,
    affinity,
    field,
    score,
    when,
)
from qdrant_rerank._internals import ABILITIES, conditions_of, parts_of, quote, strict_limits
from qdrant_rerank._internals import models_within as within
from qdrant_rerank.evaluate import Qrels, unknown_documents
from qdrant_rerank.expressions import raw, rerank_score
from qdrant_rerank.feedback import Coefficients, FeedbackCandidates
from qdrant_rerank.ingest import ensure_indexes
from qdrant_rerank.learn._internals import draw_points
from qdrant_rerank.planning import Capabilities, Plan, Schema, plan
from qdrant_rerank.stages import Stage
from tests.engines import current
from tests.support import COLLECTION, QUERY, SCHEMA, CountingClient, encoders, fill_toy, ids, refused

CANDIDATE = Nearest("dense", limit=20)


def planned(strategy: Strategy, options: SearchOptions | None = None, schema: Schema = SCHEMA, **settings: Any) -> Plan:
    return plan(strategy, schema, settings.get("capabilities", Capabilities.of("1.20.0")), options or SearchOptions(limit=5))


def filtered(condition: Any) -> models.Filter:
    return models.Filter(must=[condition])


def places(condition: Any) -> dict[str, tuple[Strategy, SearchOptions]]:
    """Strategies and calls that have the condition somewhere in what they ask."""
    only, few = filtered(condition), SearchOptions(limit=5)
    nested = models.Filter(should=[models.Filter(must_not=[condition])])
    fed: dict[str, Any] = {"coefficients": Coefficients(1.0, 0.5, 0.5), "trust": True, "using": "dense"}
    seeds = Nearest("dense", limit=3)
    return {
        "the call": (CANDIDATE, SearchOptions(limit=5, filter=only)),
        "the call, inside filters": (CANDIDATE, SearchOptions(limit=5, filter=nested)),
        "the root": (Nearest("dense", filter=only), few),
        "a candidate": (Fusion.rrf().over(Nearest("dense", filter=only), Nearest("bm25")), few),
        "a candidate's candidate": (Nearest("colbert").over(Fusion.rrf(limit=9).over(Nearest("dense", filter=nested))), few),
        "a formula": (Formula(score() + when(condition, 1.0)).over(CANDIDATE), few),
        "a formula below": (Fusion.rrf().over(Formula(score() + when(only, 1.0), limit=5).over(CANDIDATE)), few),
        "a raw expression": (Formula(raw(models.SumExpression(sum=["$score", condition]))).over(CANDIDATE), few),
        "a formula on the client": (Formula(score()).over(Nearest("dense", filter=only)).on_client(), few),
        "a reranker's candidates": (Rerank(reads=5).over(Nearest("dense", filter=only)), few),
        "seeds": (RelevanceFeedback(seeds=replace(seeds, filter=only), **fed), few),
        "the second round": (
            RelevanceFeedback(
                seeds=seeds, within=Fusion.rrf().over(FeedbackCandidates(limit=9), Nearest("bm25", filter=only)), **fed
            ),
            few,
        ),
    }


PLACES = list(places(models.HasIdCondition(has_id=[1])))


def key(name: str, **more: Any) -> Any:
    return models.FieldCondition(key=name, **more)


# What a version doesn't know

CONDITIONS: dict[str, Any] = {
    "match_phrase": key("text", match=models.MatchPhrase(phrase="a b")),
    "match_text_any": key("text", match=models.MatchTextAny(text_any="a b")),
    "has_vector": models.HasVectorCondition(has_vector="dense"),
}
if hasattr(models, "MatchPrefix"):  # which older clients lack
    CONDITIONS["match_prefix"] = key("text", match=models.MatchPrefix(prefix="a"))
if hasattr(models, "MatchSubstring"):
    CONDITIONS["match_substring"] = key("text", match=models.MatchSubstring(substring="a"))
if hasattr(models, "SliceCondition"):
    CONDITIONS["slice"] = models.SliceCondition(slice=models.Slice(total=4, index=0))


def before(name: Any) -> tuple[Capabilities, str]:
    """The last version without a feature, and the first that has it, as messages write it."""
    major, minor, patch = ABILITIES[name].since
    older = (major, minor - 1, 9) if not patch else (major, minor, patch - 1)
    return Capabilities(older), f"need Qdrant {major}.{minor}{f'.{patch}' if patch else ''}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_that_a_server_does_not_know_is_refused_wherever_it_is(name: Any, place: str) -> None:
    strategy, options = places(CONDITIONS[name])[place]
    capabilities, needs = before(name)
    if capabilities.version < (1, 14) and ("formula" in place or "raw" in place) and "client" not in place:
        capabilities, needs = Capabilities.of("1.12.0"), "formula queries need Qdrant 1.14"  # there are no formulas there
        with refused(PlanError, needs):
            planned(strategy, options, capabilities=capabilities)
        return
    with refused(PlanError, ABILITIES[name].says, needs, "this is Qdrant 1."):
        planned(strategy, options, capabilities=capabilities)
    known = Capabilities(max(ABILITIES[name].since, (1, 17, 0)))
    planned(strategy, options, capabilities=known)
    if place.startswith("the call"):  # another call of a strategy that is planned already
        made = planned(strategy, SearchOptions(limit=4), capabilities=Capabilities(max(capabilities.version, (1, 10, 0))))
        with refused(PlanError, ABILITIES[name].says, needs):
            made.within(options)


def test_search_params_that_a_server_does_not_know_are_refused() -> None:
    acorn = models.SearchParams(acorn=models.AcornSearchParams(enable=True))
    for strategy, options in (
        (Nearest("dense", search_params=acorn), SearchOptions(limit=5)),
        (Fusion.rrf().over(Nearest("dense", search_params=acorn)), SearchOptions(limit=5)),
        (CANDIDATE, SearchOptions(limit=5, search_params=acorn)),
    ):
        with refused(PlanError, "ACORN searches (SearchParams.acorn) need Qdrant 1.16; this is Qdrant 1.15"):
            planned(strategy, options, capabilities=Capabilities.of("1.15.4"))
        planned(strategy, options, capabilities=Capabilities.of("1.16.0"))
    if "idf" in models.SearchParams.model_fields:
        scoped = models.SearchParams(idf=models.IdfCorpusParams(corpus=filtered(CONDITIONS["match_text_any"])))
        with refused(PlanError, "the scope of IDF (SearchParams.idf) need Qdrant 1.19"):
            planned(Nearest("bm25", search_params=scoped), capabilities=Capabilities.of("1.18.3"))


def test_group_queries_need_a_version_but_groups_made_here_do_not() -> None:
    old = Capabilities.of("1.10.0")
    with refused(PlanError, "group queries need Qdrant 1.11; this is Qdrant 1.10"):
        planned(CANDIDATE, SearchOptions(limit=2, group_by="doc"), capabilities=old)
    planned(Fusion.rrf().over(CANDIDATE), SearchOptions(limit=2, group_by="doc"), capabilities=old)


def test_raw_expressions_that_a_server_does_not_know_are_refused() -> None:
    largest = getattr(models, "MaxExpression", None)
    if largest is None:
        pytest.skip("an older client, which has none")
    with refused(PlanError, "max and min in formulas need Qdrant 1.20"):
        planned(Formula(raw(largest(max=["$score", 1.0]))).over(CANDIDATE), capabilities=Capabilities.of("1.19.0"))


@pytest.mark.parametrize(
    ("encoder", "version", "says"),
    [
        (ServerInference("m"), "1.11.0", "texts that the server embeds (Document) need Qdrant 1.12"),
        (ServerInference("m", {"a": 1}), "1.12.0", "options of a text that the server embeds need Qdrant 1.13"),
        (lambda text: models.InferenceObject(object=text, model="m"), "1.12.0", "images and objects that the server embeds"),
    ],
)
def test_what_an_old_server_can_not_embed_is_refused(encoder: Any, version: str, says: str) -> None:
    from qdrant_rerank.models import Encoders

    client = CountingClient()
    fill_toy(client)
    executor = Executor(
        client, COLLECTION, encoders=Encoders.of({"dense": encoder}), capabilities=Capabilities.of(version, "server")
    )
    with refused(QueryError, says, "embed the query here"):
        executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(limit=1))
    assert "query_points" not in client.calls


# Numbers beyond an engine's

HUGE = 10**20
VALUES: dict[str, tuple[Any, str]] = {
    "match": (key("n", match=models.MatchValue(value=2**63)), "matches 'n' with 9223372036854775808"),
    "any": (key("n", match=models.MatchAny(any=[1, -(2**63) - 1])), "matches 'n' with -9223372036854775809"),
    "except": (key("n", match=models.MatchExcept(**{"except": [HUGE]})), "matches 'n' with 1000"),
    "id": (models.HasIdCondition(has_id=[2**64]), "names point 18446744073709551616"),
    "range": (key("n", range=models.Range(lt=math.inf)), "bounds 'n' by lt=inf"),
    "count": (key("n", values_count=models.ValuesCount(gte=2**32)), "counts values of 'n' by gte=4294967296"),
    "nested": (
        models.NestedCondition(nested=models.Nested(key="m", filter=filtered(key("n", match=models.MatchValue(value=HUGE))))),
        "matches 'n' with 1000",
    ),
}


@pytest.mark.parametrize("place", [place for place in PLACES if "formula" not in place and "raw" not in place])
@pytest.mark.parametrize("name", VALUES)
def test_a_filter_s_number_beyond_the_engine_s_is_refused_wherever_it_is(name: str, place: str) -> None:
    condition, says = VALUES[name]
    strategy, options = places(condition)[place]
    with refused(PlanError, says):
        planned(strategy, options)


def test_numbers_at_the_ends_are_fine() -> None:
    ends = [
        key("n", match=models.MatchAny(any=[2**63 - 1, -(2**63)])),
        key("n", match=models.MatchAny(any=["text"])),
        models.HasIdCondition(has_id=[2**64 - 1, "7d444840-9dc0-11d1-b245-5ffdce74fad2"]),
        key("n", range=models.Range(lt=1e308, gte=-1e308)),
        key("n", values_count=models.ValuesCount(gte=0)),
        models.IsEmptyCondition(is_empty=models.PayloadField(key="n")),
    ]
    planned(Nearest("dense", filter=models.Filter(must=ends)), SearchOptions(limit=2**32 - 1, offset=2**32 - 1))


@pytest.mark.parametrize(
    ("strategy", "options", "says"),
    [
        (Nearest("dense"), SearchOptions(limit=HUGE), "limit must be at most 4,294,967,295, got 100,000,000,000,000,000,000"),
        (Nearest("dense"), SearchOptions(limit=5, offset=HUGE), "offset must be at most 4,294,967,295"),
        (
            Nearest("dense"),
            SearchOptions(limit=2**16, group_by="doc", group_size=2**16),
            "limit times group_size must be at most 1,048,576",
        ),
        (
            Rerank(reads=HUGE).over(Nearest("dense")),
            SearchOptions(limit=5),
            "Nearest('dense') asks for 100,000,000,000,000,000,000",
        ),
        (
            Mmr("dense").over(Nearest("dense", limit=20_000)),
            SearchOptions(limit=5),
            "choose among 20,000 candidates, and MMR takes 16,384",
        ),
        (Mmr("dense", candidates_limit=20_000), SearchOptions(limit=5), "set candidates_limit=16384"),
        (Fusion.rrf(k=2**32).over(CANDIDATE), SearchOptions(limit=5), "the k of Fusion is 4,294,967,296"),
        (
            Nearest("dense", score_threshold=1e39),
            SearchOptions(limit=5),
            "score_threshold of Nearest('dense') is beyond 32-bit floats",
        ),
        (CANDIDATE, SearchOptions(limit=5, score_threshold=-1e39), "score_threshold"),
        (
            Nearest("dense", search_params=models.SearchParams(hnsw_ef=HUGE)),
            SearchOptions(limit=5),
            "hnsw_ef of Nearest('dense') must be from 0",
        ),
        (
            CANDIDATE,
            SearchOptions(limit=5, search_params=models.SearchParams(hnsw_ef=-1)),
            "hnsw_ef of the call's search_params",
        ),
        (
            Fusion.rrf().over(
                Nearest(
                    "dense", search_params=models.SearchParams(quantization=models.QuantizationSearchParams(oversampling=0.5))
                )
            ),
            SearchOptions(limit=5),
            "oversampling of Nearest('dense') must be a number of at least 1, got 0.5",
        ),
    ],
)
def test_a_number_beyond_the_engine_s_is_refused_and_named(strategy: Strategy, options: SearchOptions, says: str) -> None:
    with refused(PlanError, says):
        planned(strategy, options)


def test_a_stage_s_limit_beyond_the_engine_s_is_refused_when_it_is_made() -> None:
    with refused(StrategyError, "the limit of Nearest must be at most 4,294,967,295"):
        Nearest("dense", limit=HUGE)


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        ({"dense": [1e39, 0.0, 0.0, 0.0]}, "beyond 32-bit floats"),
        ({"colbert": [[1.0, 0.0, 0.0], [0.0, -1e39, 0.0]]}, "beyond 32-bit floats"),
        ({"bm25": models.SparseVector(indices=[1], values=[1e39])}, "beyond 32-bit floats"),
        ({"bm25": models.SparseVector(indices=[2, 1, 2], values=[1.0, 1.0, 1.0])}, "has the index 2 more than once"),
        (
            {"bm25": models.SparseVector.model_construct(indices=[2**32], values=[1.0])},
            "an index beyond those of sparse vectors",
        ),
        ({"bm25": models.SparseVector.model_construct(indices=[-1], values=[1.0])}, "an index beyond those of sparse vectors"),
    ],
)
def test_a_query_vector_that_no_engine_takes_is_refused(executor: Executor, vectors: Any, says: str) -> None:
    [name] = vectors
    with refused(QueryError, says):
        executor.retrieve(Nearest(name), Query(vectors=vectors), SearchOptions(limit=1))
    empty = models.SparseVector(indices=[], values=[])
    assert executor.retrieve(Nearest("bm25"), Query(vectors={"bm25": empty}), SearchOptions(limit=1)) == []


# Payload paths

ODD = "prix €"


@pytest.mark.parametrize("place", PLACES)
def test_a_key_that_is_no_path_is_refused_wherever_it_is_and_its_quoted_form_shown(place: str) -> None:
    for condition in (
        key(ODD, range=models.Range(gte=1)),
        models.IsEmptyCondition(is_empty=models.PayloadField(key=ODD)),
        models.NestedCondition(nested=models.Nested(key=ODD, filter=filtered(key("a", range=models.Range(gte=1))))),
    ):
        strategy, options = places(condition)[place]
        with refused(PlanError, "'prix €", "is no payload path that Qdrant reads", '"prix €"'):
            planned(strategy, options)
        if place.startswith("the call"):
            with refused(PlanError, "'prix €' is no payload path"):
                planned(strategy).within(options)


@pytest.mark.parametrize(
    "strategy",
    [
        Formula(score() + field(ODD, default=0)).over(CANDIDATE),
        Formula(score() + field(ODD, default=0)).over(CANDIDATE).on_client(),
        Formula(score() + affinity(ODD, "likes")).over(CANDIDATE),
        Formula(raw(models.MultExpression(mult=["$score", ODD]))).over(CANDIDATE),
        Formula(raw(models.NegExpression(neg=ODD))).over(CANDIDATE),
        Rerank(reads=5, blend=rerank_score() + field(ODD, default=0)).over(CANDIDATE),
    ],
)
def test_a_key_that_is_no_path_is_refused_in_formulas(strategy: Strategy) -> None:
    with refused(PlanError, "'prix €' is no payload path that Qdrant reads", "'\"prix €\"'"):
        planned(strategy)


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(limit=5, group_by=ODD),
        SearchOptions(limit=5, with_payload=[ODD]),
        SearchOptions(limit=5, with_payload=models.PayloadSelectorInclude(include=[ODD])),
        SearchOptions(limit=5, with_payload=models.PayloadSelectorExclude(exclude=["a", ODD])),
    ],
)
def test_a_key_that_is_no_path_is_refused_in_a_call_s_options(options: SearchOptions) -> None:
    with refused(PlanError, "'prix €' is no payload path that Qdrant reads"):
        planned(CANDIDATE, options)
    with refused(PlanError, "'prix €' is no payload path that Qdrant reads"):
        planned(CANDIDATE).within(options)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("@timestamp", '"@timestamp"'),
        ("a.b c", 'a."b c"'),
        ("a b[].c", '"a b"[].c'),
        ("a/b[0]", '"a/b"[0]'),
        ('x"y', ""),
        ("", ""),
        (3, ""),
    ],
)
def test_how_a_key_is_quoted(name: Any, quoted: str) -> None:
    assert quote(name) == quoted


def test_a_key_that_can_not_be_quoted_says_so() -> None:
    with refused(PlanError, "can't be quoted: rename the key"):
        planned(Formula(score() + field('x"y', default=0)).over(CANDIDATE))


def test_indexes_and_document_ids_are_asked_for_by_paths(toy: QdrantClient) -> None:
    with refused(PlanError, "'prix €' is no payload path"):
        ensure_indexes(toy, COLLECTION, Formula(score() + field(ODD, default=0)).over(CANDIDATE))
    with refused(StrategyError, "'a b' is no payload path"):
        unknown_documents(Qrels({"q": {"d": 1}}), Executor(toy, COLLECTION), doc_id="a b")


# Strict mode


def strictly(**limits: Any) -> Schema:
    return replace(SCHEMA, strict=models.StrictModeConfigOutput(enabled=True, **limits))


PART = models.NestedCondition(nested=models.Nested(key="parts", filter=filtered(key("x", match=models.MatchValue(value=1)))))
ONE = key("rating", range=models.Range(gte=0))
EXACT = models.SearchParams(exact=True)
MANY = key("rating", match=models.MatchAny(any=[1, 2, 3]))
FIVE = SearchOptions(limit=5)
of_five = partial(SearchOptions, limit=5)


@pytest.mark.parametrize(
    ("limits", "strategy", "options", "says"),
    [
        ({"max_query_limit": 10}, Nearest("dense"), SearchOptions(limit=11), "limit), and Nearest('dense') asks for 11"),
        ({"max_query_limit": 10}, Fusion.rrf().over(CANDIDATE), FIVE, "Nearest('dense') asks for 20"),
        ({"max_query_limit": 10}, Fusion.rrf().over(Nearest("bm25")), FIVE, "Nearest('bm25') asks for 100"),
        ({"max_query_limit": 10}, Rerank(reads=20).over(Nearest("dense")), FIVE, "Nearest('dense') asks for 20"),
        ({"max_query_limit": 10}, Nearest("dense"), of_five(group_by="doc", group_size=3), "asks for 15"),
        ({"search_max_hnsw_ef": 50}, Nearest("dense", search_params=models.SearchParams(hnsw_ef=51)), FIVE, "asks for 51"),
        ({"search_max_hnsw_ef": 50}, CANDIDATE, of_five(search_params=models.SearchParams(hnsw_ef=99)), "max_hnsw_ef)"),
        ({"search_allow_exact": False}, Fusion.rrf().over(replace(CANDIDATE, search_params=EXACT)), FIVE, "out exact=True"),
        (
            {"search_max_oversampling": 2.0},
            CANDIDATE,
            SearchOptions(limit=5,
            search_params=models.SearchParams(quantization=models.QuantizationSearchParams(oversampling=3.0))),
            "oversampling=2 at most (search_max_oversampling), and Nearest('dense') asks for 3",
        ),
        ({"max_timeout": 5}, CANDIDATE, of_five(timeout=6), "5 seconds (max_timeout)"),
        ({"filter_max_conditions": 1}, CANDIDATE, of_five(filter=models.Filter(must=[ONE, ONE])), "has 2"),
        ({"filter_max_conditions": 1}, CANDIDATE, of_five(filter=models.Filter(should=[filtered(ONE), ONE])), "has 2"),
        ({"condition_max_size": 2}, Fusion.rrf().over(replace(CANDIDATE, filter=filtered(MANY))), FIVE, "one in the"),
        ({"condition_max_size": 2}, CANDIDATE, of_five(filter=filtered(models.HasIdCondition(has_id=[1, 2, 3]))), "has 3"),
        ({"unindexed_filtering_retrieve": False}, CANDIDATE, of_five(filter=filtered(ONE)), "a payload index on 'rating'"),
        ({"unindexed_filtering_retrieve": False}, CANDIDATE, of_five(group_by="doc"), "index on 'doc' for the groups"),
        (
            {"unindexed_filtering_retrieve": False},
            replace(CANDIDATE, filter=filtered(models.IsNullCondition(is_null=models.PayloadField(key="gone")))),
            FIVE,
            "a payload index on 'gone'",
        ),
        (
            {"unindexed_filtering_retrieve": False},
            replace(CANDIDATE, filter=filtered(models.IsEmptyCondition(is_empty=models.PayloadField(key="gone")))),
            FIVE,
            "a payload index on 'gone'",
        ),
        (
            {"unindexed_filtering_retrieve": False},
            replace(CANDIDATE, filter=filtered(PART)),
            FIVE,
            "a payload index on 'parts[].x'",
        ),
    ],
)  # fmt: skip
def test_what_strict_mode_forbids_is_a_problem_with_the_stage_s_name(
    limits: dict[str, Any], strategy: Strategy, options: SearchOptions, says: str
) -> None:
    with refused(PlanError, "the collection 'toy' is in strict mode", says):
        planned(strategy, options, strictly(**limits))
    off = replace(SCHEMA, strict=models.StrictModeConfigOutput(enabled=False, **limits))
    planned(strategy, options, off)
    fitting = planned(
        CANDIDATE if "query_limit" not in str(limits) else Nearest("dense"), SearchOptions(limit=5), strictly(**limits)
    )
    if strategy is CANDIDATE:
        with refused(PlanError, says):
            fitting.within(options)


@pytest.mark.parametrize("strict", [None, models.StrictModeConfigOutput(enabled=False, max_query_limit=1)])
def test_without_strict_mode_it_forbids_nothing(strict: models.StrictModeConfigOutput | None) -> None:
    asked = models.QueryRequest(query=[0.5], limit=10)
    assert list(strict_limits([asked], replace(SCHEMA, strict=strict))) == []
    assert list(strict_limits([asked], strictly(max_query_limit=1))) != []


def test_what_strict_mode_allows_is_no_problem() -> None:
    limits = {"max_query_limit": 20, "search_max_hnsw_ef": 50, "search_max_oversampling": 2.0, "max_timeout": 5}
    schema = replace(
        strictly(**limits, filter_max_conditions=2, condition_max_size=3, unindexed_filtering_retrieve=False),
        indexes={"rating": models.PayloadSchemaType.FLOAT, "doc": models.PayloadSchemaType.KEYWORD},
    )
    params = models.SearchParams(hnsw_ef=50, quantization=models.QuantizationSearchParams(oversampling=2.0))
    only = models.Filter(must=[ONE, MANY])
    planned(CANDIDATE, SearchOptions(limit=5, offset=100, search_params=params, timeout=5, filter=only), schema)
    planned(CANDIDATE, SearchOptions(limit=5, group_by="doc", group_size=4, filter=filtered(CONDITIONS["has_vector"])), schema)
    planned(
        Formula(score() + sum(when(ONE, 1.0) for _ in range(9))).over(CANDIDATE), SearchOptions(limit=5), schema
    )  # not counted there


def strict_client(**limits: Any) -> CountingClient:
    class Strict(CountingClient):
        """Local mode, as a collection in strict mode."""

        sizes: list[int]

        def get_collection(self, *args: Any, **kwargs: Any) -> Any:
            info = copy.deepcopy(super().get_collection(*args, **kwargs))
            info.config.strict_mode_config = models.StrictModeConfigOutput(enabled=True, **limits)
            return info

        def query_batch_points(self, collection_name: str, requests: Any, *args: Any, **kwargs: Any) -> Any:
            self.sizes.append(len(requests))
            return super().query_batch_points(collection_name, requests, *args, **kwargs)

    client = Strict()
    client.sizes = []
    return fill_toy(client)  # type: ignore[return-value]


async def test_batches_are_split_into_those_that_strict_mode_allows() -> None:
    if "search_max_batchsize" not in models.StrictModeConfigOutput.model_fields:
        pytest.skip("an older client, which has no such setting")
    client: Any = strict_client(search_max_batchsize=2)
    queries = [Query(text) for text in ("a", "b", "c", "d", "e")]
    executor = Executor(client, COLLECTION, encoders=encoders())
    found = executor.retrieve_batch(Nearest("dense"), queries, SearchOptions(limit=3))
    assert client.sizes == [2, 2]  # and the fifth by itself
    assert [ids(points) for points in found] == [
        ids(executor.retrieve(Nearest("dense"), query, SearchOptions(limit=3))) for query in queries
    ]
    if current().kind == "server":  # whose async client is another class: tests/server/test_strict_mode.py asks it
        return
    awaited = await AsyncExecutor(client, COLLECTION, encoders=encoders()).retrieve_batch(
        Nearest("dense"), queries, SearchOptions(limit=3)
    )
    assert [ids(points) for points in awaited] == [ids(points) for points in found]
    assert client.sizes[2:] == [2, 2]


def test_a_strict_mode_of_an_older_client_splits_no_batch() -> None:
    client: Any = strict_client()
    executor = Executor(client, COLLECTION, encoders=encoders())
    older = SimpleNamespace(enabled=True)  # as it has no such setting
    executor._seen = replace(executor.target(), schema=replace(SCHEMA, strict=older))  # type: ignore[arg-type]
    assert [list(share) for share in executor._shares(dict.fromkeys(range(3), models.QueryRequest()))] == [[0, 1, 2]]


def test_points_for_ties_and_samples_keep_to_strict_mode() -> None:
    client: Any = strict_client(max_query_limit=8)
    executor = Executor(client, COLLECTION, encoders=encoders())
    strategy = Nearest("dense")
    found = executor.retrieve(strategy, Query(QUERY), SearchOptions(limit=5, stable_ties=True))
    assert ids(found) == ids(executor.retrieve(strategy, Query(QUERY), SearchOptions(limit=5)))
    with pytest.warns(PlanWarning, match="strict mode allows no points beyond the call's"):
        executor.retrieve(Formula(0.0).over(Nearest("dense", limit=8)), Query(QUERY), SearchOptions(limit=8, stable_ties=True))
    assert len(draw_points(executor, True, 500)) == 8
    assert unknown_documents(Qrels({"q": {str(n): 1 for n in range(1, 30)}}), executor) == tuple(
        sorted(str(n) for n in range(25, 30))
    )


# What requests are made of


def test_every_model_is_given_once_and_numbers_are_not_looked_through() -> None:
    condition = models.HasIdCondition(has_id=[1])
    shared = models.SumExpression(sum=[condition, condition, 1.0, "$score"])
    query = models.QueryRequest(query=models.FormulaQuery(formula=shared), prefetch=models.Prefetch(query=[0.0] * 9))
    kinds = [type(one).__name__ for one in within(query)]
    assert kinds.count("HasIdCondition") == 1
    assert "Prefetch" in kinds
    assert list(within(None)) == []


def test_a_search_without_a_query_has_a_name_for_messages() -> None:
    sent = models.QueryRequest(prefetch=models.Prefetch(query=[0.5], using="dense"), limit=10)
    assert [part.name for part in parts_of(sent)] == ["the search", "Nearest('dense')"]


def test_conditions_of_a_filter_are_those_of_all_its_clauses() -> None:
    least = models.MinShould(conditions=[ONE, MANY], min_count=1)
    filter = models.Filter(must=ONE, should=[models.Filter(must_not=[MANY])], min_should=least)
    assert list(conditions_of(filter)) == [ONE, MANY, ONE, MANY]


class Everything(Stage):
    """A stage of one's own, whose query is of a kind that this package doesn't send."""

    def query(self, inputs: Any, limit: int) -> Any:
        return models.OrderByQuery(order_by=models.OrderBy(key=ODD))


def test_stages_of_ones_own_are_looked_through_too() -> None:
    with refused(PlanError, "'prix €' is no payload path"):
        planned(Everything())
    with refused(PlanError, "OrderByQuery asks for 4,294,967,296 points"):
        planned(Rerank(reads=2**32).over(replace(Everything())))

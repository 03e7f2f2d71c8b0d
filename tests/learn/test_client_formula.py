"""A formula computed on the client gives what the formula in Qdrant gives, in one round trip."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qdrant_client import models
from sklearn import ensemble, tree

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    PlanWarning,
    Query,
    QueryError,
    Rerank,
    ScoringError,
    SearchOptions,
    StrategyError,
    affinity,
    decay_exp,
    field,
    from_json,
    log,
    now,
    param,
    score,
    to_json,
    when,
)
from qdrant_rerank._internals import Inputs, Reference, TrainedFeature
from qdrant_rerank.errors import FitError, FormatError
from qdrant_rerank.expressions import max_sim, query_tokens, raw
from qdrant_rerank.ingest import requirements
from qdrant_rerank.learn import Trained, from_model, ranker_from_expression
from qdrant_rerank.planning import Capabilities, Schema, read_schema
from qdrant_rerank.stages import ClientFormula
from tests.engines import current, open_client
from tests.learn import worlds as models_world
from tests.learn.logs import CANDIDATES, POINTS, asked, local, world
from tests.support import CountingClient, encoders, fill_toy, question, refused

TOPICS = list(asked())[:4]
QUERY = TOPICS[0].query
DRAMA = models.FieldCondition(key="genre", match=models.MatchValue(value="drama"))
EXPRESSION = (
    3.0 * score("dense")
    + 0.2 * score("bm25", default=-0.5)
    + 0.3 * log(field("popularity", default=1.0), floor=0.1)
    + 0.01 * (field("year", default=2000.0) - 1990.0)
    + affinity("genre", param="tastes")
    + when(DRAMA, 0.1, -0.1)
    + 0.0 * now()
)
FORMULA = Formula(EXPRESSION).over(*CANDIDATES)
HERE = FORMULA.on_client()


@pytest.fixture(scope="module", params=["local", "edge"])
def executor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    if request.param == "local":
        yield local()[0]
        return
    from qdrant_rerank.edge import EdgeClient

    client = EdgeClient(str(tmp_path_factory.mktemp("edge")))
    yield world(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.close()


def skip_on_shards_of(executor: Executor) -> None:
    if executor.target().schema.shards > 1:
        pytest.skip("each shard hands a formula its own candidates, which plans tell")


def scores(points: list[models.ScoredPoint]) -> dict[Any, float]:
    return {point.id: point.score for point in points}


SCOPES = [
    SearchOptions(limit=7),
    SearchOptions(limit=5, offset=3),
    SearchOptions(limit=50, score_threshold=1.0),
    SearchOptions(limit=10, filter=models.Filter(must=[DRAMA])),
    SearchOptions(
        limit=10, filter=models.Filter(should=[DRAMA, models.FieldCondition(key="year", range=models.Range(lt=1970))])
    ),
    SearchOptions(limit=4, stable_ties=True),
]


@pytest.mark.parametrize("options", SCOPES)
@pytest.mark.parametrize("topic", TOPICS)
def test_scores_and_order_are_those_of_the_formula_in_qdrant(executor: Executor, options: SearchOptions, topic: Any) -> None:
    skip_on_shards_of(executor)
    here, there = (executor.retrieve(strategy, topic.query, options) for strategy in (HERE, FORMULA))
    assert len(here) > 0
    assert [point.id for point in here] == [point.id for point in there]
    assert scores(here) == pytest.approx(scores(there), abs=1e-6)
    assert [point.payload for point in here] == [point.payload for point in there]


@pytest.mark.parametrize(
    "options", [*SCOPES, SearchOptions(limit=5, with_payload=False), SearchOptions(limit=5, with_payload=["year"])]
)
def test_results_are_explained_as_those_of_the_formula_in_qdrant(executor: Executor, options: SearchOptions) -> None:
    skip_on_shards_of(executor)
    here, there = (executor.explain(strategy, QUERY, options) for strategy in (HERE, FORMULA))
    assert [point.id for point in here.points] == [point.id for point in there.points]
    assert [point.payload for point in here.points] == [point.payload for point in there.points]
    for mine, other in zip(here.reasons, there.reasons, strict=True):
        assert [term.text for term in mine.terms] == [term.text for term in other.terms]
        assert [term.value for term in mine.terms] == pytest.approx([term.value for term in other.terms], abs=1e-6)
        assert [(candidate.candidate, candidate.rank) for candidate in mine.candidates[:2]] == [
            (candidate.candidate, candidate.rank) for candidate in other.candidates[:2]
        ]
        assert mine.total == pytest.approx(mine.score, abs=1e-6)


@pytest.mark.parametrize(
    "formula",
    [
        Formula(score(), filter=models.Filter(must=[DRAMA]), score_threshold=0.1).over(Nearest("dense", limit=60)),
        Formula(score("fused") + field("popularity", default=1.0)).over(Fusion.rrf(name="fused").over(*CANDIDATES)),
        Formula(score("near") - 0.5 * score("far")).over(
            Nearest("dense", limit=30, name="near"), Nearest("dense", limit=50, name="far", score_threshold=0.1)
        ),
        Formula(score("dense") * 2.0).over(Formula(score(), name="dense", limit=20).over(Nearest("dense", limit=40))),
    ],
)
def test_filters_thresholds_and_nested_stages_count_alike(executor: Executor, formula: Formula) -> None:
    skip_on_shards_of(executor)
    here, there = (executor.retrieve(one, QUERY, SearchOptions(limit=15)) for one in (formula.on_client(), formula))
    assert len(here) > 3
    assert scores(here) == pytest.approx(scores(there), abs=1e-6)


NO_YEAR = models.IsNullCondition(is_null=models.PayloadField(key="year"))
UNRATED = models.IsEmptyCondition(is_empty=models.PayloadField(key="votes"))
BY_ITSELF = [
    FORMULA,
    Formula(2.0 * score() + when(NO_YEAR, -0.3) + when(UNRATED, 0.2)).over(Nearest("dense", limit=60)),
    Formula(score("fused") + 0.1 * field("popularity", default=1.0)).over(Fusion.dbsf(name="fused").over(*CANDIDATES)),
    Formula(score("dense") * 2.0, limit=9).over(Formula(score(), name="dense", limit=50).over(Nearest("dense", limit=70))),
]


def by_itself(executor: Executor, formula: Formula, options: SearchOptions) -> tuple[Any, Any]:
    """What is found, and how it is explained, where the formula is computed here because that is faster."""

    def run(made: Any) -> Any:
        return made.strategy.client_formula.flow(QUERY, made.options, made.target)

    def explain(made: Any) -> Any:
        return made.strategy.client_formula.explain(QUERY, made.options, made.target)

    return executor.answer(formula, options, run), executor.answer(formula, options, explain)


@pytest.mark.parametrize("formula", BY_ITSELF)
@pytest.mark.parametrize("options", [*SCOPES, SearchOptions(limit=5, with_payload=["year"])])
def test_by_itself_it_gives_what_it_gives_in_qdrant_on_any_number_of_shards(
    executor: Executor, formula: Formula, options: SearchOptions
) -> None:
    here, explained = by_itself(executor, formula, options)
    there, reasons = (
        executor.retrieve(formula.on_server(), QUERY, options),
        executor.explain(formula.on_server(), QUERY, options),
    )
    assert [point.score for point in here] == pytest.approx([point.score for point in there], abs=1e-6)
    both = scores(here).keys() & scores(there).keys()
    assert {id: scores(here)[id] for id in both} == pytest.approx({id: scores(there)[id] for id in both}, abs=1e-6)
    assert all({*point.payload} == {"year"} for point in here if options.with_payload == ["year"] and point.payload)
    assert [point.score for point in explained.points] == pytest.approx([point.score for point in here], abs=1e-6)
    for mine, other in zip(explained.reasons, reasons.reasons, strict=True):
        assert mine.total == pytest.approx(mine.score, abs=1e-6)
        assert [hit.candidate for hit in mine.candidates] == [hit.candidate for hit in other.candidates]


def test_what_it_asks_of_a_key_that_it_does_not_read_is_fetched_too() -> None:
    executor = local()[0]
    for condition in (NO_YEAR, models.Filter(must_not=[UNRATED])):
        formula = Formula(score() + when(condition, 1.0)).over(Nearest("dense", limit=60))
        here, there = (
            executor.retrieve(one, QUERY, SearchOptions(with_payload=False)) for one in (formula.on_client(), formula)
        )
        assert scores(here) == pytest.approx(scores(there), abs=1e-6)


def test_models_over_the_budget_predict_what_they_predict() -> None:
    x, y = models_world.training(3, rows=400, missing=False)
    forest = ensemble.RandomForestRegressor(12, max_leaf_nodes=160, random_state=0, n_jobs=1).fit(x, y)
    with refused(
        FitError,
        "conditions where 1,500 are allowed",
        "or have it computed on the client, over the fetched candidates: "
        "Formula(from_model(…, on_client=True)).over(…).on_client()",
    ):
        from_model(forest, models_world.FILLED)
    strategy = Formula(from_model(forest, models_world.FILLED, on_client=True)).over(Nearest("dense", limit=60)).on_client()
    with models_world.opened(current().name, models_world.payloads()) as found:
        points = found.executor.retrieve(strategy, models_world.QUERY, SearchOptions(limit=60))
        chosen = [found.payloads[int(point.id)] for point in points]
        expected = forest.predict(models_world.rows(chosen, [found.scores[int(point.id)] for point in points], price=1.25))
    assert len(points) == 60
    np.testing.assert_allclose([point.score for point in points], expected, rtol=1e-6, atol=2e-6)


def test_trees_deeper_than_servers_take_are_client_side() -> None:
    x = np.arange(40.0)[:, None]
    deep = tree.DecisionTreeRegressor().fit(x, 4.0 ** np.arange(40))
    assert deep.get_depth() > 30
    with refused(FitError, "levels of splits, and servers take formulas of about 22", "on_client=True"):
        from_model(deep, [field("a", default=0.0)], max_conditions=None, max_bytes=None)
    expression = from_model(deep, [field("a", default=0.0)], on_client=True)
    strategy = Formula(expression).over(Nearest("dense")).on_client()
    assert from_json(to_json(strategy)) == strategy
    client = open_client()
    client.create_collection("deep", vectors_config={"dense": models.VectorParams(size=2, distance=models.Distance.DOT)})
    points = [models.PointStruct(id=n, vector={"dense": [1.0, 0.0]}, payload={"a": float(n)}) for n in range(40)]
    client.upsert("deep", points)
    found = Executor(client, "deep").retrieve(strategy, Query(vectors={"dense": [1.0, 0.0]}), SearchOptions(limit=40))
    expected = deep.predict([[float(str(point.id))] for point in found])
    np.testing.assert_allclose([point.score for point in found], expected, rtol=1e-6, atol=expected.max() * 1e-12)
    x = np.arange(90.0)[:, None]
    with refused(FitError, "even on the client at most 60 are possible", "smaller max_depth"):
        from_model(tree.DecisionTreeRegressor().fit(x, 4.0 ** np.arange(90)), [field("a", default=0.0)], on_client=True)


def test_it_takes_one_round_trip_and_no_model() -> None:
    client = CountingClient()
    executor = world(client)
    executor.plan(HERE)
    start = len(client.calls)
    executor.retrieve(HERE, QUERY)
    assert client.calls[start:] == ["query_batch_points"]
    single = Formula(score()).over(Nearest("dense", limit=10)).on_client()
    start = len(client.calls)
    executor.retrieve_batch(single, [topic.query for topic in TOPICS])
    assert client.calls[start:] == ["query_batch_points"]
    assert (HERE.cost.round_trips, HERE.cost.reads) == (1, 0)


async def test_async_executors_compute_the_same(executor: Executor) -> None:
    other = AsyncExecutor(executor.clients.sync(), "films")
    queries = [topic.query for topic in TOPICS]
    found = await asyncio.gather(*(other.retrieve(HERE, query) for query in queries))
    assert list(map(scores, found)) == [scores(executor.retrieve(HERE, query)) for query in queries]
    assert [scores(points) for points in await other.retrieve_batch(HERE, queries)] == list(map(scores, found))


@pytest.mark.parametrize(
    "selector",
    [
        True,
        False,
        ["year"],
        models.PayloadSelectorInclude(include=["_id", "year"]),
        models.PayloadSelectorExclude(exclude=["year"]),
    ],
)
def test_the_payload_is_what_the_call_asks_for_and_no_more_is_fetched_than_needed(
    executor: Executor, selector: models.WithPayloadInterface
) -> None:
    skip_on_shards_of(executor)
    here, there = (executor.retrieve(one, QUERY, SearchOptions(limit=3, with_payload=selector)) for one in (HERE, FORMULA))
    assert [point.payload for point in here] == [point.payload for point in there]


def fetched(strategy: ClientFormula, selector: Any) -> Any:
    target = local()[0].target()
    return next(iter(strategy.first_requests(Inputs(target, QUERY.vectors), SearchOptions(with_payload=selector)))).with_payload


def test_only_what_is_read_is_fetched_where_the_call_asks_for_nothing() -> None:
    assert sorted(fetched(HERE, False)) == ["genre", "popularity", "year"]
    assert sorted(fetched(HERE, ["_id"])) == ["_id", "genre", "popularity", "year"]
    assert fetched(HERE, models.PayloadSelectorExclude(exclude=["year"])) is True
    scored = Formula(score()).over(Nearest("dense")).on_client()
    assert fetched(scored, False) is False
    assert fetched(Formula(field('"a.b"', default=0.0)).over(Nearest("dense")).on_client(), ["x"]) is True


def test_vectors_are_returned_where_the_call_asks_for_them(executor: Executor) -> None:
    [point] = executor.retrieve(HERE, QUERY, SearchOptions(limit=1, with_vectors=["dense"]))
    assert isinstance(point.vector, dict)
    assert isinstance(point.vector["dense"], list)
    assert len(point.vector["dense"]) == 8


def test_it_is_a_value() -> None:
    assert eval(repr(HERE), {**globals(), "models": models}) == HERE
    assert from_json(to_json(HERE)) == HERE
    assert HERE.expression == EXPRESSION
    with refused(FormatError, "on the client runs a formula, got Nearest('dense')"):
        from_json('{"kind": "client_formula", "formula": {"kind": "nearest", "using": "dense"}}')
    with refused(StrategyError, "on the client runs a formula, got 1.0"):
        ClientFormula(1.0)  # type: ignore[arg-type]
    with refused(StrategyError, "limit=3 of a formula on the client has no effect"):
        replace(FORMULA, limit=3).on_client()
    with refused(StrategyError, "can't be a candidate of Fusion"):
        Fusion.rrf().over(HERE, Nearest("dense"))  # type: ignore[arg-type]


def test_a_model_may_read_what_it_ranks() -> None:
    executor = Executor(
        local()[0].clients.sync(), "films", reranker=lambda query, texts: [float(len(text)) for text in texts], payload=_name
    )
    found = executor.retrieve(Rerank(reads=5).over(HERE), replace(QUERY, text="films"), SearchOptions(limit=5))
    assert {point.id for point in found} == {point.id for point in local()[0].retrieve(HERE, QUERY, SearchOptions(limit=5))}


def _name(payload: Any) -> tuple[str, dict[str, Any]]:
    return str(payload["_id"]), {}


def test_what_it_was_trained_on_counts_here_too() -> None:
    executor = world(CountingClient())
    executor.clients.sync().delete_payload("films", ["popularity"], points=models.Filter())
    learned = replace(FORMULA, trained=Trained())
    with refused(PlanError, "reads 'popularity', but no point of 'films' has a number there"):
        executor.plan(learned.on_client())
    with refused(PlanError, "reads 'popularity'"):
        executor.plan(Rerank().over(learned.on_client()))
    executor.plan(learned.uncheck().on_client())


def test_values_that_have_moved_are_warned_of_here_too() -> None:
    far = TrainedFeature(name="x", expression=field("year", default=0.0), reference=Reference((1e9,), (0.0, 1.0), size=1000))
    learned = replace(FORMULA, trained=Trained((far,))).on_client()
    for strategy in (learned, Rerank(reads=20).over(learned)):
        with pytest.warns(PlanWarning, match="feature 'x' is far from what it was trained on"):
            world(CountingClient()).plan(strategy)


def test_an_imported_model_is_one_file_for_both_ways(tmp_path: Any) -> None:
    from qdrant_rerank.learn import log_features

    executor, topics, qrels = local()
    features: Any = {"dense": score("dense"), "popularity": field("popularity", default=1.0)}
    log = log_features(executor, CANDIDATES, topics, qrels, features)
    trained = ensemble.GradientBoostingClassifier(n_estimators=5, max_leaf_nodes=4).fit(log.values, log.relevant())
    ranker_from_expression(from_model(trained, features), log).save(tmp_path / "ranker.json")
    strategy = Formula.load(tmp_path / "ranker.json")
    assert strategy.trained is not None
    here, there = (scores(executor.retrieve(one, QUERY)) for one in (strategy.on_client(), strategy))
    assert list(here.values()) == pytest.approx(list(there.values()), abs=1e-6)  # trees tie
    assert min(here.values()) > 0


def test_distances_and_late_interaction_are_read_alike() -> None:
    client = fill_toy(open_client())
    executor = Executor(client, "toy", encoders=encoders())
    sims = max_sim("colbert") + 0.1 * score("dense") + 0.01 * query_tokens("colbert")
    formula = Formula(sims).over(Nearest("colbert", limit=24), Nearest("dense", limit=24))
    here, there = (scores(executor.retrieve(one, question())) for one in (formula.on_client(), formula))
    assert here == pytest.approx(there, abs=1e-6)
    client.create_collection("far", vectors_config=models.VectorParams(size=2, distance=models.Distance.EUCLID))
    points = [models.PointStruct(id=n, vector=[float(n), 0.0], payload={"x": n}) for n in range(9)]
    client.upsert("far", points)
    far = Formula(score() + 0.1 * field("x", default=0.0)).over(Nearest(limit=5))
    where = Executor(client, "far")
    asks = Query(vectors={"": [3.2, 0.0]})
    here, there = (scores(where.retrieve(one, asks, SearchOptions(limit=5))) for one in (far.on_client(), far))
    assert here == pytest.approx(there, abs=1e-6)
    assert len(here) == 5


def test_old_servers_that_have_no_formulas_take_it() -> None:
    target = local()[0].target()
    old = Executor(local()[0].clients.sync(), "films", capabilities=Capabilities.of("1.10.0"))
    with refused(PlanError, "formula queries need Qdrant 1.14"):
        old.plan(FORMULA)
    here = scores(old.retrieve(HERE, QUERY))  # as a server's, of 32 bits
    assert here == pytest.approx(scores(local()[0].retrieve(HERE, QUERY)), rel=2e-7)
    assert target.capabilities != old.target().capabilities


def test_servers_limits_on_formulas_do_not_count_and_it_wants_no_indexes() -> None:
    strict = models.StrictModeConfigOutput(enabled=True, unindexed_filtering_retrieve=False)
    schema = read_schema(local()[0].clients.sync(), "films")
    from qdrant_rerank.planning import plan

    deep = field("x", default=0.0)
    for _ in range(60):
        deep = 1.0 + abs(deep)
    formula = Formula(score("dense") + deep).over(*CANDIDATES)
    demanding = replace(schema, strict=strict, shards=3)
    with refused(PlanError, "levels deep as JSON", "strict mode"):
        plan(formula, demanding, Capabilities.of("1.20.0"))
    made = plan(formula.on_client(), demanding, Capabilities.of("1.20.0"))
    assert [warning.code for warning in made.warnings] == []
    assert requirements(formula.on_client()) == {}
    assert requirements(
        replace(
            HERE, formula=replace(FORMULA, candidates=(Nearest("dense", filter=models.Filter(must=[DRAMA])), Nearest("bm25")))
        )
    ) == {"genre": models.PayloadSchemaType.KEYWORD}


def test_a_fusion_among_its_candidates_is_no_problem_of_shards() -> None:
    from qdrant_rerank.planning import plan

    schema = Schema("films", local()[0].target().schema.vectors, shards=3)
    formula = Formula(score("rrf")).over(Fusion.rrf(name="rrf").over(*CANDIDATES))
    there, here = (plan(one, schema, Capabilities.of("1.20.0")) for one in (formula, formula.on_client()))
    assert [warning.code for warning in there.warnings] == ["nested-under-shards"]
    assert [warning.code for warning in here.warnings] == []


def _nested(levels: int) -> ClientFormula:
    expression = score()
    for _ in range(levels):
        expression = abs(expression)
    return Formula(expression).over(Nearest("dense")).on_client()


@pytest.mark.parametrize(
    ("strategy", "options", "says"),
    [
        (Formula(score()).on_client(), SearchOptions(), "Formula(score()) has no candidates to score: add .over"),
        (_nested(160), SearchOptions(), "levels deep, and at most 150 are possible"),
        (HERE, SearchOptions(group_by="genre"), "group_by can't be combined with a formula on the client"),
        (Formula(score()).over(Nearest("dense", limit=5)).on_client(), SearchOptions(limit=6), "the call asks for 6 points"),
        (Formula(raw("$score")).over(Nearest("dense")).on_client(), SearchOptions(), "can be computed by Qdrant only"),
        (
            Formula(when(models.Filter(must=[DRAMA, models.HasVectorCondition(has_vector="bm25")])))
            .over(CANDIDATES[0])
            .on_client(),
            SearchOptions(),
            "can be computed by Qdrant only",
        ),
        (Formula(score()).over(Nearest("dens")).on_client(), SearchOptions(), "did you mean 'dense'?"),
    ],
)
def test_what_it_cannot_do_is_refused(strategy: Any, options: SearchOptions, says: str) -> None:
    with refused(PlanError, says):
        local()[0].plan(strategy, options)


def test_what_fails_a_query_says_why() -> None:
    executor = local()[0]
    candidates = Nearest("dense", limit=POINTS)
    with refused(PlanError, "reads 'popularity' without a default, but point"):
        executor.retrieve(Formula(field("popularity")).over(candidates).on_client(), QUERY)
    with refused(ScoringError, "inf, which is no score"):
        executor.retrieve(Formula(1e30 * (1e30 * field("year", default=0.0))).over(candidates).on_client(), QUERY)
    with refused(QueryError, "'budget'"):
        executor.retrieve(Formula(score() + param("budget")).over(candidates).on_client(), QUERY)


def test_nothing_found_is_an_answer() -> None:
    none = models.Filter(must=[models.FieldCondition(key="genre", match=models.MatchValue(value="opera"))])
    assert local()[0].retrieve(HERE, QUERY, SearchOptions(filter=none)) == []


def test_what_is_asked_can_be_shown() -> None:
    made = local()[0].plan(HERE)
    explanation = made.describe()
    assert len(explanation.requests) == 2
    assert explanation.round_trips == 1
    assert "on_client()" in explanation.strategy


def test_ties_come_in_the_order_of_their_ids() -> None:
    strategy = Formula(0.0 * score() + decay_exp(0.0 * score(), scale=1.0)).over(Nearest("dense", limit=40)).on_client()
    found = [point.id for point in local()[0].retrieve(strategy, QUERY, SearchOptions(limit=40))]
    assert found == sorted(found, key=int)

"""A learned formula on a collection: refused where its payload keys are missing, warned of where values have moved."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Mmr,
    Nearest,
    PlanError,
    PlanWarning,
    Rerank,
    SearchOptions,
    StrategyError,
    field,
    from_json,
    load,
    now,
    save,
    score,
    to_json,
    when,
)
from qdrant_rerank._internals import Reference, TrainedFeature, by_chance, shift
from qdrant_rerank.errors import FormatError
from qdrant_rerank.expressions import datetime_field, geo_distance
from qdrant_rerank.learn import Category, Feature, LearnedRanker, Trained, fit_logistic, log_features, read_log, write_log
from tests.engines import current
from tests.learn.logs import CANDIDATES, FEATURES, POINTS, asked, local, world
from tests.support import CountingClient, refused

QUERY = next(iter(asked())).query
EVERYTHING = models.Filter()


@pytest.fixture(scope="module")
def ranker() -> LearnedRanker:
    executor, topics, qrels = local()
    return fit_logistic(log_features(executor, CANDIDATES, topics, qrels, FEATURES), bootstrap=0)


@pytest.fixture(scope="module")
def file(ranker: LearnedRanker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranker") / "ranker.json"
    ranker.save(path)
    return path


@pytest.fixture
def other() -> Executor:
    """A copy of the collection, in a client that counts requests, that a test may change."""
    return world(CountingClient())


def without(executor: Executor, *keys: str) -> Executor:
    executor.clients.sync().delete_payload("films", list(keys), points=EVERYTHING)
    return executor


def calls(executor: Executor) -> list[str]:
    client = executor.clients.sync()
    assert isinstance(client, CountingClient)
    return client.calls


def codes(executor: Executor, strategy: Any) -> list[str]:
    """The plan's warnings by code; what the executor says aloud besides is not looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlanWarning)
        found = [warning.code for warning in executor.plan(strategy).warnings]
    if current().shards > 1:
        found.remove("candidates-per-shard")  # each shard hands a formula its own, which every plan tells
    return found


def test_a_collection_that_lacks_a_payload_key_is_refused_however_the_ranker_is_loaded(
    ranker: LearnedRanker, file: Path, other: Executor
) -> None:
    without(other, "popularity")
    for strategy in (ranker.strategy, load(file), Formula.load(file), LearnedRanker.load(file).strategy):
        with refused(
            PlanError, "reads 'popularity', but no point of 'films' has a number there", "there are '_id', 'genre', 'year'"
        ):
            other.retrieve(strategy, QUERY)


def test_the_refusal_goes_through_whatever_stands_above_the_formula(file: Path, other: Executor) -> None:
    without(other, "popularity")
    learned = Formula.load(file)
    for strategy in (Mmr("dense").over(learned), Rerank(reads=5).over(learned)):
        with refused(PlanError, "reads 'popularity'"):
            other.plan(strategy)


def embedded_by(executor: Executor, model: str) -> Executor:
    """The same collection, whose queries a model of this fingerprint embeds for the vector "dense"."""

    def embed(text: str) -> list[float]:
        raise AssertionError("queries have their vectors")

    embed.fingerprint = model  # type: ignore[attr-defined]
    return Executor(executor.clients.sync(), "films", encoders={"dense": embed})


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_another_embedding_model_than_that_of_the_training_is_refused(tmp_path: Path, other: Executor, ending: str) -> None:
    _, topics, qrels = local()
    log = log_features(embedded_by(other, "e5:1"), CANDIDATES, topics, qrels, FEATURES, path=tmp_path / "first.jsonl")
    write_log(log, path := tmp_path / f"log.{ending}")
    assert [read_log(each).vectors for each in (path, tmp_path / "first.jsonl")] == [log.vectors] * 2
    assert [each.encoder for each in log.vectors if each.name == "dense"] == ["FunctionEncoder(function=e5:1)"]
    fit_logistic(read_log(path), bootstrap=0).save(file := tmp_path / "ranker.json")
    for strategy in (load(file), LearnedRanker.load(file).strategy, Rerank(reads=5).over(load(file))):
        with refused(PlanError, "for the vector 'dense', and here it is", "function=e5:1", "function=minilm:2"):
            embedded_by(other, "minilm:2").plan(strategy)
    for executor in (embedded_by(other, "e5:1"), other):  # nothing tells which model made a query's own vectors
        executor.plan(load(file))
    embedded_by(other, "minilm:2").plan(load(file).uncheck())
    with_client = LearnedRanker.load(file).formula.over(*CANDIDATES).on_client()
    with refused(PlanError, "embedding model"):
        embedded_by(other, "minilm:2").plan(with_client)


@pytest.mark.filterwarnings("ignore:the collection '(far|wide)' is empty:qdrant_rerank.PlanWarning")
def test_another_distance_or_size_than_that_of_the_training_is_refused(
    ranker: LearnedRanker, file: Path, other: Executor
) -> None:
    client = other.clients.sync()
    there = client.get_collection("films").config.params
    assert isinstance(there.vectors, dict)
    for name, other_params in (("far", {"distance": models.Distance.EUCLID}), ("wide", {"size": 9})):
        vectors = {**there.vectors, "dense": there.vectors["dense"].model_copy(update=other_params)}
        client.create_collection(name, vectors_config=vectors, sparse_vectors_config=there.sparse_vectors)
    with refused(PlanError, "with the size 8 for the vector 'dense', and here it is 9"):
        Executor(client, "wide").plan(load(file))
    with refused(PlanError, "with the distance 'Cosine' for the vector 'dense', and here it is 'Euclid'", "uncheck()"):
        Executor(client, "far").plan(load(file))
    [_, bm25] = CANDIDATES
    assert [each.name for each in ranker.training.vectors] == ["bm25", "dense"]
    trained = Trained(vectors=ranker.training.vectors)
    Executor(client, "far").plan(Formula(score("bm25"), trained=trained).over(bm25))  # doesn't search by that vector


def test_rankers_and_logs_of_before_know_no_vectors(file: Path, tmp_path: Path) -> None:
    text = json.loads(file.read_text("utf-8"))
    del text["training"]["vectors"], text["strategy"]["trained"]["vectors"]
    (old := tmp_path / "old.json").write_text(json.dumps(text), "utf-8")
    assert LearnedRanker.load(old).training.vectors == ()


@pytest.mark.parametrize("vectors", [3, [3], [{"size": 3}]])
def test_a_log_whose_vectors_are_something_else_is_refused(ranker: LearnedRanker, tmp_path: Path, vectors: Any) -> None:
    executor, topics, qrels = local()
    write_log(log_features(executor, CANDIDATES, topics, qrels, FEATURES), path := tmp_path / "log.csv")
    about = Path(f"{path}.meta.json")
    about.write_text(json.dumps({**json.loads(about.read_text("utf-8")), "vectors": vectors}), "utf-8")
    with refused(FormatError, "not by which vectors candidates were found"):
        read_log(path)


async def test_async_executors_refuse_alike(file: Path, other: Executor) -> None:
    without(other, "popularity")
    with refused(PlanError, "reads 'popularity'"):
        await AsyncExecutor(other.clients.sync(), "films").retrieve(load(file), QUERY)


def test_the_key_that_it_may_have_become_is_named(file: Path, other: Executor) -> None:
    client = other.clients.sync()
    for record in client.scroll("films", limit=POINTS)[0]:
        payload = record.payload or {}
        moved = {"_id": payload["_id"], "metadata": {key: value for key, value in payload.items() if key != "_id"}}
        client.overwrite_payload("films", moved, points=[record.id])
    with refused(PlanError, "reads 'popularity', but no point", "did you mean 'metadata.popularity'?") as caught:
        other.plan(load(file))
    assert isinstance(caught.value, PlanError)
    assert len(caught.value.problems) == 3  # popularity, year and genre


def test_a_key_that_holds_something_else_is_refused(file: Path, other: Executor) -> None:
    other.clients.sync().set_payload("films", {"popularity": "high"}, points=EVERYTHING)
    with refused(
        PlanError, "reads 'popularity', but no point of 'films' has a number there but text, e.g. 'high' (150 random"
    ) as caught:
        other.plan(load(file))
    assert "there are" not in str(caught.value)
    assert "did you mean" not in str(caught.value)


def test_a_key_that_is_there_is_never_proposed_for_itself(file: Path, other: Executor) -> None:
    other.clients.sync().set_payload("films", {"popularity": "high"}, points=EVERYTHING)
    without(other, "year")
    with pytest.raises(PlanError) as caught:
        other.plan(load(file))
    year = next(problem for problem in caught.value.problems if "'year'" in problem)
    assert "there are '_id', 'genre', 'popularity'" in year


def test_one_point_that_has_the_key_is_enough_even_if_the_sample_misses_it(
    file: Path, other: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = other.clients.sync()
    without(other, "popularity")
    client.set_payload("films", {"popularity": 2.0}, points=[3])
    monkeypatch.setattr("qdrant_rerank.trained.SAMPLE_SIZE", 1)
    for _ in range(5):  # the point itself may be drawn
        other.refresh()
        assert "feature-drift" not in codes(other, load(file))  # one point says nothing of how values lie


def test_an_override_runs_it_all_the_same(ranker: LearnedRanker, file: Path, other: Executor, tmp_path: Path) -> None:
    without(other, "popularity", "year")
    before = len(calls(other))
    unchecked = Formula.load(file, checked=False)
    assert unchecked == ranker.strategy
    assert unchecked.trained is None
    with pytest.warns(PlanWarning, match="no point of 'films' has"):
        assert len(other.retrieve(unchecked, QUERY)) == 10
    assert calls(other)[before:] == ["info", "get_collection", "query_points", "query_points", "query_batch_points"]
    save(ranker.strategy.uncheck(), tmp_path / "unchecked.json")  # for the command line
    assert len(other.retrieve(load(tmp_path / "unchecked.json"), QUERY)) == 10


def test_a_collection_is_looked_at_once_whatever_is_asked(file: Path, other: Executor) -> None:
    start = len(calls(other))
    for _ in range(3):
        other.retrieve(load(file), QUERY)  # loaded anew each time
        other.retrieve(load(file), QUERY, SearchOptions(limit=3))
    assert calls(other)[start:] == ["info", "get_collection", "query_points", *["query_points"] * 6]
    start = len(calls(other))
    other.refresh()
    other.retrieve(load(file), QUERY)
    assert calls(other)[start:] == ["info", "get_collection", "query_points", "query_points"]


async def test_async_executors_look_once_too(file: Path, other: Executor) -> None:
    executor = AsyncExecutor(other.clients.sync(), "films")
    strategy = load(file)
    await executor.retrieve(strategy, QUERY)
    start = len(calls(other))
    await asyncio.gather(*(executor.retrieve(strategy, QUERY) for _ in range(3)))
    assert calls(other)[start:] == ["query_points"] * 3


def test_formulas_that_were_not_learned_are_not_looked_into(other: Executor) -> None:
    start = len(calls(other))
    other.plan(Formula(score("dense") + field("nowhere", default=0.0)).over(*CANDIDATES))
    assert calls(other)[start:] == ["info", "get_collection"]


def test_a_learned_formula_that_reads_no_payload_asks_for_no_sample(other: Executor) -> None:
    start = len(calls(other))
    other.plan(Formula(score("dense"), trained=Trained()).over(*CANDIDATES))
    assert calls(other)[start:] == ["info", "get_collection"]


def test_an_empty_collection_is_not_refused(file: Path) -> None:
    client = CountingClient()
    executor = world(client)
    client.delete("films", points_selector=models.FilterSelector(filter=EVERYTHING))
    with pytest.warns(PlanWarning, match="is empty"):
        assert executor.retrieve(load(file), QUERY) == []


def test_what_is_as_in_training_gives_no_warning(file: Path, other: Executor) -> None:
    assert codes(other, load(file)) == []


def test_values_that_have_moved_are_warned_of_once(file: Path, other: Executor) -> None:
    client = other.clients.sync()
    for record in client.scroll("films", limit=POINTS)[0]:
        client.set_payload("films", {"year": (record.payload or {})["year"] + 40}, points=[record.id])
    strategy = load(file)
    with pytest.warns(
        PlanWarning, match=r"feature 'year' is far from what it was trained on: fit it again \(PSI \d\.\d\d over"
    ):
        other.retrieve(strategy, QUERY)
    assert other.retrieve(strategy, QUERY)  # and no second time: warnings are errors here
    assert codes(other, strategy) == ["feature-drift"]
    assert "feature 'year'" in str(other.plan(strategy).describe(QUERY))


def test_values_that_have_moved_a_little_are_warned_of_as_such() -> None:
    then = Reference((1.0,), (0.5, 0.5), size=10_000)
    made = TrainedFeature(name="x", expression=field("x", default=0.0), reference=then)
    client = CountingClient()
    client.create_collection("films", vectors_config={"dense": models.VectorParams(size=2, distance=models.Distance.DOT)})
    values = [0.0] * 270 + [2.0] * 130  # a share of 0.325 where there was a half
    points = [models.PointStruct(id=n, vector={"dense": [1.0, 0.0]}, payload={"x": value}) for n, value in enumerate(values)]
    client.upsert("films", points)
    strategy = Formula(score() + field("x", default=0.0), trained=Trained((made,))).over(Nearest("dense", limit=20))
    with pytest.warns(PlanWarning, match=r"feature 'x' has moved since it was trained \(PSI 0\.13 over 400"):
        Executor(client, "films").plan(strategy)


def test_a_sample_looks_where_the_formula_looks(other: Executor) -> None:
    drama = models.Filter(must=[models.FieldCondition(key="genre", match=models.MatchValue(value="drama"))])
    client = other.clients.sync()
    client.delete_payload("films", ["popularity"], points=models.Filter(must_not=[drama]))
    learned = Formula(score("dense") + field("popularity", default=1.0), trained=Trained())
    other.plan(replace(learned, filter=drama).over(*CANDIDATES))
    other.plan(learned.over(*CANDIDATES))
    client.delete_payload("films", ["popularity"], points=drama)
    client.set_payload("films", {"popularity": 1.0}, points=models.Filter(must_not=[drama]))
    other.refresh()
    other.plan(learned.over(*CANDIDATES))
    with refused(PlanError, "reads 'popularity'"):
        other.plan(replace(learned, filter=drama).over(*CANDIDATES))


NEWS = models.FieldCondition(key="kind", match=models.MatchValue(value="news"))
PLACE = geo_distance((50.0, 4.0), "place", default=1000.0)
RECENT = now() - datetime_field("day", default=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("expression", "key", "wrong", "right", "kind"),
    [
        (RECENT * 1e-9, "day", 20200101, "2021-03-04T00:00:00Z", "date-time"),
        (PLACE * 1e-6, "place", "Ghent", {"lat": 51.0, "lon": 3.7}, "geo point"),
        (when(NEWS), "kind", None, "news", "value"),
        (field("films[0].stars", default=0.0), "films", [{"stars": "many"}], [{"stars": 3}], "number"),
        (field('"a.b"', default=0.0), "a.b", True, 3.5, "number"),
    ],
)
def test_every_kind_of_value_is_looked_for(
    other: Executor, expression: Any, key: str, wrong: Any, right: Any, kind: str
) -> None:
    strategy = Formula(score("dense") + expression, trained=Trained()).over(*CANDIDATES)
    client = other.clients.sync()
    if kind in ("number", "value"):
        client.set_payload("films", {key: wrong}, points=EVERYTHING)
        with refused(PlanError, f"has a {kind} there"):
            other.plan(strategy)
    else:
        with refused(PlanError, f"has a {kind} there"):
            other.plan(strategy)
    client.set_payload("films", {key: right}, points=[5])
    other.refresh()
    other.plan(strategy)


def test_what_no_point_had_in_training_may_be_missing(other: Executor) -> None:
    none = TrainedFeature(name="x", expression=field("x", default=0.0), reference=Reference((), (1.0,), 1.0, 100))
    other.plan(Formula(score("dense") + field("x", default=0.0), trained=Trained((none,))).over(*CANDIDATES))


def test_features_that_the_formula_does_not_read_are_not_looked_at(other: Executor) -> None:
    far = Reference((1e9,), (0.0, 1.0), 0.0, 1000)
    unread = TrainedFeature(name="year", expression=field("year", default=0.0), reference=far)
    strategy = Formula(score("dense") + field("popularity", default=0.0), trained=Trained((unread,))).over(*CANDIDATES)
    assert codes(other, strategy) == []
    read = replace(strategy, expression=score("dense") + field("year", default=0.0))
    assert codes(other, read) == ["feature-drift"]


def test_categories_drift_too(other: Executor) -> None:
    then = Reference((0.0,), (0.9, 0.1), 0.0, 1000)
    genre = TrainedFeature(name="genre", category="genre", values=("drama", "comedy"), reference=then)
    reads = when(models.FieldCondition(key="genre", match=models.MatchAny(any=["drama", "comedy"])))
    assert codes(other, Formula(score("dense") + reads, trained=Trained((genre,))).over(*CANDIDATES)) == ["feature-drift"]


def test_values_that_are_missing_now_count_as_drift(other: Executor) -> None:
    other.clients.sync().delete_payload("films", ["popularity"], points=list(range(100)))
    then = Reference((), (1.0,), 0.0, 1000)  # one bin: only what is missing can move
    reads = Feature(field("popularity"), missing="nan").expression
    trained = Trained((TrainedFeature(name="p", expression=reads, reference=then),))
    known = when(models.FieldCondition(key="popularity", range=models.Range(gt=1.0)))
    assert codes(other, Formula(score("dense") + known, trained=trained).over(*CANDIDATES)) == ["feature-drift"]


def test_drift_is_beyond_chance_or_it_is_none() -> None:
    import numpy as np

    generator = np.random.default_rng(0)
    found = []
    for _ in range(400):
        then = Reference.of(generator.normal(size=200))
        index = shift(then, generator.normal(size=200), 0.0, False)
        found.append(index > by_chance(then, 200))
    assert sum(found) < 20  # once in a hundred, by its name; bins drawn from the data make it a little more
    assert by_chance(Reference((), (1.0,)), 100) > by_chance(Reference((), (1.0,)), 200) > 0


def test_a_strict_collection_that_forbids_looking_further_is_judged_by_the_sample(file: Path) -> None:
    class Strict(CountingClient):
        """Refuses filters on payload keys, as strict mode does where they have no index."""

        def query_batch_points(self, *args: Any, **kwargs: Any) -> Any:
            raise ValueError("Index required but not found")

    executor = without(world(Strict()), "popularity")
    with refused(PlanError, "reads 'popularity'", "(150 random points were looked at):"):
        executor.plan(load(file))


def test_strict_mode_limits_the_sample(file: Path, other: Executor) -> None:
    target = other.target()
    strict = models.StrictModeConfigOutput(enabled=True, max_query_limit=120)
    other._target = replace(target, schema=replace(target.schema, strict=strict))
    strategy = load(file)
    other.plan(strategy)
    [sample] = target.quirks.samples.values()
    assert len(sample.payloads) == 120


def test_what_it_was_trained_on_travels_as_json(ranker: LearnedRanker) -> None:
    strategy = ranker.strategy
    assert isinstance(strategy, Formula)
    assert strategy.trained is not None
    assert {one.name for one in strategy.trained.features} == {"popularity", "year"}
    back = from_json(to_json(strategy))
    assert isinstance(back, Formula)
    assert back.trained == strategy.trained
    assert back == strategy == strategy.uncheck()  # it changes no score
    assert "trained" not in repr(strategy)


def test_a_category_travels_as_json() -> None:
    trained = Trained(
        (
            TrainedFeature(name="shop", category="shop", values=("a", "b"), reference=Reference((0.0,), (0.5, 0.5))),
            TrainedFeature(name="code", category="code", reference=Reference((), (1.0,))),
        )
    )
    back = from_json(to_json(Formula(score(), trained=trained)))
    assert isinstance(back, Formula)
    assert back.trained == trained


def test_a_ranker_with_a_category_keeps_it(ranker: LearnedRanker) -> None:
    genre = Category("genre", ("drama", "war"))
    known = Reference((0.0,), (0.5, 0.5))
    formula = replace(ranker, features={"genre": genre}, reference={"genre": known, "gone": known}).formula
    assert formula.trained == Trained(
        (TrainedFeature(name="genre", category="genre", values=("drama", "war"), reference=known),),
        vectors=ranker.training.vectors,
    )


@pytest.mark.parametrize(
    ("trained", "says"),
    [
        (
            '{"kind": "trained", "feature": []}',
            "trained has no 'feature'; it has features, calibrated, vectors: did you mean 'features'",
        ),
        ('{"kind": "trained_feature"}', "unknown kind of record of training 'trained_feature'"),
        ('{"kind": "trained", "features": {}}', "expected a list"),
        ('{"kind": "trained", "features": [{"kind": "trained_feature", "name": "x"}]}', "lacks 'reference'"),
        (
            '{"kind": "trained", "features": [{"kind": "trained_feature", "name": "x", '
            '"reference": {"edges": [], "shares": [1.0]}}]}',
            "'x' has an expression or a category, and not both",
        ),
        (
            '{"kind": "trained", "features": [{"kind": "trained_feature", "name": "x", "category": "x", "reference": '
            '{"edges": [], "shares": []}}]}',
            "one share more than edges, got 0 shares and 0 edges",
        ),
    ],
)
def test_a_wrong_record_of_training_is_refused(trained: str, says: str) -> None:
    with refused(FormatError, says):
        from_json(f'{{"kind": "formula", "expression": 1.0,\n"trained": {trained}}}')


def test_a_file_whose_record_of_training_was_changed_is_refused(file: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.json"
    text = file.read_text("utf-8")
    place = text.index('"size": ', text.index('"trained"'))
    changed.write_text(text[:place] + '"size": 1' + text[place + len('"size": ') :], "utf-8")
    load(changed)
    with refused(FormatError, "record of training isn't that of the features", "uncheck()"):
        LearnedRanker.load(changed)


def test_a_formula_is_loaded_from_a_saved_strategy_and_nothing_else_is(tmp_path: Path) -> None:
    save(Formula(0.5 * score()).over(Nearest("dense", limit=10)), tmp_path / "formula.json")
    assert Formula.load(tmp_path / "formula.json") == Formula(0.5 * score()).over(Nearest("dense", limit=10))
    save(Nearest("dense"), tmp_path / "nearest.json")
    with refused(FormatError, "holds no formula but a Nearest: qdrant_rerank.load(path)", "nearest.json"):
        Formula.load(tmp_path / "nearest.json")
    with pytest.raises(OSError, match="nowhere"):
        Formula.load(tmp_path / "nowhere.json")


def test_a_ranker_without_candidates_is_loaded_as_a_formula_to_be_put_over_some(ranker: LearnedRanker, tmp_path: Path) -> None:
    replace(ranker, candidates=()).save(tmp_path / "ranker.json")
    formula = Formula.load(tmp_path / "ranker.json")
    assert formula.candidates == ()
    assert formula.over(*CANDIDATES) == ranker.strategy
    assert formula.over(*CANDIDATES).trained == ranker.strategy.trained


def test_what_is_loaded_is_no_expression_and_a_ranker_no_strategy(ranker: LearnedRanker, file: Path, other: Executor) -> None:
    with refused(StrategyError, "is a strategy already: use it as it is, or .over(…) other candidates"):
        Formula(load(file))  # type: ignore[arg-type]
    with refused(StrategyError, "a LearnedRanker is not a strategy, but has one: pass its .strategy"):
        other.plan(ranker)  # type: ignore[arg-type]


def test_no_strategy_is_no_strategy(other: Executor) -> None:
    with refused(StrategyError, "not a strategy: 'ranker.json'"):
        other.plan("ranker.json")  # type: ignore[arg-type]

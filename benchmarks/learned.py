"""Learned formulas against what they are to replace, on held-out queries: MovieLens and SciFact.

Run: `python benchmarks/learned.py [--only movies|scifact] [--users 671] [--claims 809] [--test-claims 300]`

MovieLens: 100 films by a vector learned from ratings, ranked by that similarity alone, by weights set by hand, by a logistic
formula and by boosted trees, both fitted to earlier ratings and judged by later ones; nDCG@10, AUC among the candidates, and
what one query takes on the embedded engine, beside fetching the 100 candidates and predicting here. See `learned_movies.py`.

SciFact: dense and BM25 scores weighed by a formula fitted to the training claims, against RRF and DBSF on the test claims.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import models
from sklearn.ensemble import GradientBoostingClassifier

from qdrant_rerank import Executor, Formula, Fusion, Nearest, Query, SearchOptions, Strategy, field, log, score
from qdrant_rerank._internals import run
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.evaluate import Evaluation, Qrels, Topic, Topics, bootstrap_interval, compare, evaluate
from qdrant_rerank.ingest import ensure_indexes
from qdrant_rerank.learn import FeatureLike, FeatureLog, fit_logistic, from_model, log_features
from qdrant_rerank.learn._internals import (
    CandidateSearch,
    auc,
    check_features,
    compute_features,
    measure_reliability,
    search_candidates,
)
from qdrant_rerank.models import Bm25

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import learned_movies, scifact_data

BY_HAND = 0.6 * score("taste") + 0.05 * log(field("ratings", default=0.0) + 1.0) + 0.05 * field("mean_rating", default=3.5)
# trees split the same on a number and on its logarithm, and a split on a payload value is a condition that an index answers
TREE_FEATURES = learned_movies.FEATURES | {"popularity": field("ratings", default=0.0)}
TREES = {"n_estimators": 40, "max_depth": 3, "learning_rate": 0.1, "subsample": 0.7, "random_state": 0}


def main() -> None:
    """Run what was chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["movies", "scifact"])
    parser.add_argument("--users", type=int, default=None, help="of MovieLens; all 671 if left out")
    parser.add_argument("--claims", type=int, default=809, help="of SciFact's training claims")
    parser.add_argument("--test-claims", type=int, default=300)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.only != "scifact":
        movies(options.users)
    if options.only != "movies":
        scifact(options.claims, options.test_claims)


def movies(users: int | None) -> None:
    """MovieLens."""
    data = learned_movies.load(users)
    with tempfile.TemporaryDirectory() as folder:
        client = EdgeClient(folder)
        size, cosine = learned_movies.SIZE, models.Distance.COSINE
        client.create_collection("films", {"taste": models.VectorParams(size=size, distance=cosine)})
        client.upsert("films", data.points)
        executor = Executor(client, "films")
        fit = log_features(executor, learned_movies.CANDIDATES, *learned_movies.topics(data, "fit"), learned_movies.FEATURES)
        test_topics, qrels = learned_movies.topics(data, "test")
        test = log_features(executor, learned_movies.CANDIDATES, test_topics, qrels, learned_movies.FEATURES)
        print(
            f"MovieLens: {len(data.points)} films; fitted to {len(fit)} candidates of {fit.coverage.topics} users, "
            f"{int(fit.relevant().sum())} relevant; judged on {len(test_topics)} users\n"
        )
        ranker = fit_logistic(fit, signs={"popularity": "+"}, calibration="platt")
        print(ranker.table(), "\n")
        trees: Any = GradientBoostingClassifier(**TREES).fit(for_trees(fit), fit.grades)
        formulas: Mapping[str, Strategy] = {
            "similarity": learned_movies.CANDIDATES[0],
            "weights by hand": Formula(BY_HAND).over(*learned_movies.CANDIDATES),
            "logistic formula": ranker.strategy,
            "boosted trees": Formula(from_model(trees, TREE_FEATURES)).over(*learned_movies.CANDIDATES),
        }
        for strategy in formulas.values():
            ensure_indexes(client, "films", strategy)
        executor.refresh()
        predicted = {
            "similarity": test.column("similarity"),
            "weights by hand": 0.6 * test.column("similarity")
            + 0.05 * test.column("popularity")
            + 0.05 * test.column("mean_rating"),
            "logistic formula": ranker.predict(test),
            "boosted trees": trees.predict_proba(for_trees(test))[:, 1],
        }
        rank_and_show(executor, formulas, test_topics, qrels, test, predicted)
        times(executor, formulas, test_topics, trees)
        y, p = test.relevant().astype(float), ranker.predict(test)
        trusted(y, p)
        client.close()


def trusted(y: Any, p: Any) -> None:
    """How far the logistic formula's probabilities can be trusted on the test topics."""
    found = measure_reliability(p, y, np.ones(len(y)))
    print(
        f"probabilities of the logistic formula on the test topics: ECE {found.ece:.4f}, Brier {found.brier:.4f}; "
        f"{y.mean():.2%} of the candidates are relevant\n"
    )


def rank_and_show(
    executor: Executor,
    strategies: Mapping[str, Strategy],
    topics: Topics,
    qrels: Qrels,
    test: FeatureLog | None = None,
    predicted: Mapping[str, Any] | None = None,
) -> None:
    """nDCG@10 with intervals, AUC among the candidates, and the differences to the first strategy, paired."""
    evaluations: list[Evaluation] = []
    print("| ranking | nDCG@10 (95 %) | AUC among candidates (95 %) |\n|---|---|---|")
    for name, strategy in strategies.items():
        evaluation = evaluate(strategy, topics, qrels, ["nDCG@10"], executor=executor, name=name, batch_size=16)
        evaluations.append(evaluation)
        area = "–"
        if test is not None and predicted is not None:
            area = str(bootstrap_interval(areas(test, predicted[name])))
        print(f"| {name} | {evaluation.means['nDCG@10']} | {area} |")
    first = next(iter(strategies))
    print()
    for verdict in compare(evaluations, baseline=first, measure="nDCG@10").verdicts:
        print(verdict)
    print()


def areas(test: FeatureLog, scores: Any) -> list[float]:
    """Each topic's AUC, for topics with relevant candidates and others."""
    y = test.relevant().astype(float)
    values = []
    for topic in test.topic_ids:
        rows = test.topics == topic
        if 0 < y[rows].sum() < rows.sum():
            values.append(auc(np.asarray(scores)[rows], y[rows], np.ones(int(rows.sum()))))
    return values


def times(executor: Executor, formulas: Mapping[str, Strategy], topics: Topics, model: Any) -> None:
    """Median milliseconds of one query for ten results."""
    print("| one query for 10 films | median ms |\n|---|---|")
    chosen = topics.items[:100]
    for name, strategy in formulas.items():

        def ask(query: Query, options: SearchOptions, strategy: Strategy = strategy) -> Any:
            return executor.retrieve(strategy, query, options)

        print(f"| {name} | {median(chosen, ask):.2f} |")
    candidates = CandidateSearch.of(learned_movies.CANDIDATES, SearchOptions(with_payload=True), executor.target())

    def fetch_and_predict(query: Query, options: SearchOptions) -> Any:
        there = run(search_candidates(candidates, query, executor.target(), options.filter), executor)
        scores = model.predict_proba(compute_features(check_features(TREE_FEATURES), there.table))[:, 1]
        return [there.points[row] for row in np.argsort(-scores)[:10]]

    print(f"| boosted trees: fetch 100, predict here | {median(chosen, fetch_and_predict):.2f} |\n")


def for_trees(log: FeatureLog) -> Any:
    """The log's values with the number of ratings as it is."""
    values = log.values.copy()
    values[:, 1] = np.round(np.expm1(values[:, 1]))
    return values


def median(topics: tuple[Topic, ...], ask: Callable[[Query, SearchOptions], Any]) -> float:
    """Median milliseconds, the first ten topics being for warming up."""
    taken = []
    for topic in topics:
        options = topic.within(SearchOptions(limit=10))
        start = time.perf_counter()
        ask(topic.query, options)
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken[10:] or taken))


def scifact(claims: int, test_claims: int) -> None:
    """SciFact."""
    if reason := scifact_data.missing():
        print(f"SciFact skipped: {reason}")
        return
    from benchmarks.strategies import indexed

    data = scifact_data.load()
    candidates = Nearest("dense", limit=200), Nearest("bm25", limit=200)
    features: dict[str, FeatureLike] = {"dense": score("dense", default=0.2), "bm25": score("bm25")}
    with tempfile.TemporaryDirectory() as folder:
        client = indexed(data, Path(folder))
        executor = Executor(client, "scifact")
        train, test = asked(data, "train", claims), asked(data, "test", test_claims)
        fit = log_features(executor, candidates, *train, features)
        print(
            f"SciFact: fitted to {len(fit)} candidates of {fit.coverage.topics} training claims, "
            f"{int(fit.relevant().sum())} relevant; judged on {len(test[0])} test claims\n"
        )
        pointwise = fit_logistic(fit, calibration="platt")
        pairwise = fit_logistic(fit, loss="pairwise", calibration="platt")
        print(pointwise.table(), "\n")
        strategies: dict[str, Strategy] = {
            "RRF k=2": Fusion.rrf().over(*candidates),
            "RRF k=61": Fusion.rrf(k=61).over(*candidates),
            "DBSF": Fusion.dbsf().over(*candidates),
            "learned, pointwise": pointwise.strategy,
            "learned, pairwise": pairwise.strategy,
        }
        rank_and_show(executor, strategies, *test)
        judged = log_features(executor, candidates, *test, features)
        trusted(judged.relevant().astype(float), pointwise.predict(judged))
        client.close()


def asked(data: scifact_data.SciFact, split: scifact_data.Split, count: int) -> tuple[Topics, Qrels]:
    """Claims with their vectors."""
    from benchmarks.strategies import wheel_encoder

    words = Bm25()
    vectors = scifact_data.claim_vectors(data, wheel_encoder(), split)
    chosen = list(data.claims[split].items())[:count]
    topics = [Topic(id, text, vectors={"dense": vectors[id], "bm25": words.encode_query(text)}) for id, text in chosen]
    return Topics(topics), Qrels({id: dict(data.qrels[split][id]) for id, _ in chosen})


if __name__ == "__main__":
    main()

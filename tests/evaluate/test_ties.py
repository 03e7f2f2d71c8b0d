"""What is measured twice gives the same figures: points of equal score come in the order of their ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, Query, Rerank, SearchOptions, score
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.evaluate import Qrels, Topics, evaluate
from qdrant_rerank.evaluate._internals import id_payload, prepare_options
from qdrant_rerank.models import Encoders
from qdrant_rerank.tune import Grid, Space, tune

FUSED = Fusion.rrf().over(Nearest("a", limit=20), Nearest("b", limit=20))
TOPICS = Topics({f"q{number}": f"text {number}" for number in range(25)})


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Executor:
    rng = np.random.default_rng(0)
    client: Any = EdgeClient(tmp_path_factory.mktemp("ties"))
    params = models.VectorParams(size=8, distance=models.Distance.COSINE)
    client.create_collection("c", {"a": params, "b": params})
    points = [
        models.PointStruct(
            id=number,
            vector={name: rng.normal(size=8).tolist() for name in "ab"},
            payload={"_id": f"d{number}", "text": "a long text " * 20},
        )
        for number in range(200)
    ]
    client.upsert("c", points)
    vectors = {topic.text: rng.normal(size=8).tolist() for topic in TOPICS}
    return Executor(client, "c", encoders=Encoders.of({"a": vectors.__getitem__, "b": lambda text: vectors[text][::-1]}))


@pytest.fixture(scope="module")
def qrels(executor: Executor) -> Qrels:
    found = {
        topic.id: [
            str((point.payload or {})["_id"]) for point in executor.retrieve(FUSED, Query(topic.text), SearchOptions(limit=10))
        ]
        for topic in TOPICS
    }
    return Qrels({topic: {ids[0]: 1, ids[5]: 1, ids[9]: 1} for topic, ids in found.items()})


def test_a_fusion_measured_again_gives_the_same_value(executor: Executor, qrels: Qrels) -> None:
    runs = [evaluate(FUSED, TOPICS, qrels, ["nDCG@10"], executor=executor, batch_size=8) for _ in range(4)]
    assert len({str(run.values) for run in runs}) == 1
    assert all(run.run == runs[0].run for run in runs)


def test_tune_and_evaluate_settle_ties_alike(executor: Executor, qrels: Qrels) -> None:
    space = Space(
        (Grid("fused", lambda limit: Fusion.rrf().over(Nearest("a", limit=limit), Nearest("b", limit=limit)), {"limit": [20]}),)
    )
    tuning = tune(
        executor, TOPICS, qrels, candidates=[Nearest("a"), Nearest("b")], baseline=Nearest("a"), space=space, splits=2
    )
    measured = evaluate(FUSED, TOPICS, qrels, ["nDCG@10"], executor=executor)
    assert tuning["fused limit=20"].mean == pytest.approx(measured.means["nDCG@10"].estimate, abs=1e-12)


def test_measuring_asks_for_ids_and_not_for_payloads(executor: Executor, qrels: Qrels) -> None:
    costs = evaluate(FUSED, TOPICS, qrels, ["nDCG@10"], executor=executor).costs
    assert costs.bytes_received is not None
    assert costs.bytes_received < 42 * 120


def test_what_is_asked_for_is_what_ids_are_read_from() -> None:
    assert id_payload(None) == ["_id"]
    assert id_payload("meta.doc") == ["meta"]
    assert id_payload('"a b"') is True
    assert id_payload(str) is True


def test_ties_are_settled_where_that_can_be(executor: Executor) -> None:
    options = SearchOptions(limit=5, stable_ties=True)
    formula = Formula(score()).over(Mmr(candidates_limit=9).over(Nearest("a")))
    for strategy in (FUSED, Nearest("a"), formula, Rerank().over(FUSED)):
        assert prepare_options(strategy, SearchOptions(), None).stable_ties
    for other in (Mmr(), Rerank().over(Mmr())):
        assert not prepare_options(other, options, None).stable_ties
    assert not prepare_options(FUSED, SearchOptions(group_by="a"), None).stable_ties
    assert prepare_options(Rerank().over(FUSED), options, None).with_payload is True

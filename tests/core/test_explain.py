"""A plan's account of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Formula,
    Fusion,
    Mmr,
    Nearest,
    Query,
    QueryError,
    SearchOptions,
    StrategyError,
    geo_distance,
    param,
    score,
)
from qdrant_rerank.planning import Plan, VectorInfo, plan
from qdrant_rerank.stages import Stage
from tests.support import SCHEMA, bm25, dense, query_vectors, refused, target

HYBRID = Fusion.rrf(k=61).over(Nearest("dense", limit=100), Nearest("bm25", limit=100))


def planned(strategy: Stage, version: str = "1.20.0", options: SearchOptions | None = None) -> Plan:
    return plan(strategy, SCHEMA, target(version).capabilities, options)


def test_the_text_has_all_that_a_reader_wants() -> None:
    text = str(planned(HYBRID).describe(Query(vectors=query_vectors())))
    head, body = text[: text.index("{")], json.loads(text[text.index("{") :])
    lines = [line.split(maxsplit=1) for line in head.splitlines()]
    assert dict(lines) == {
        "strategy": "Fusion.rrf(k=61).over(Nearest('dense', limit=100), Nearest('bm25', limit=100))",
        "collection": "toy: 'dense' (dense 4-d, Cosine), 'colbert' (multivector of 3-d, Cosine), 'bm25' (sparse, IDF)",
        "server": "Qdrant 1.20.0",
        "one": "query    1 round trip; embeds 'bm25', 'dense'",
        "servers": "before 1.15.4: refused (k in reciprocal rank fusion); "
        "before 1.10: refused (queries over prefetched candidates)",
    }
    assert body["query"] == {"rrf": {"k": 61}}


def test_without_a_query_its_values_are_stand_ins() -> None:
    strategy = Mmr().over(
        Formula(score("near") + param("budget") - geo_distance("here", "place", default=0)).over(
            Nearest("dense", name="near"), Nearest("colbert"), Nearest("bm25")
        )
    )
    [request] = planned(strategy).describe().requests
    near, multi, sparse = request["prefetch"][0]["prefetch"]
    assert "0.0, 0.0, 0.0, 0.0" in json.dumps(near["query"])
    assert "[[0.0, 0.0, 0.0]]" in json.dumps(multi["query"])
    assert '"indices": []' in json.dumps(sparse["query"])


def test_long_vectors_are_cut_short() -> None:
    wide = plan(
        Nearest("wide"),
        type(SCHEMA)("docs", {"wide": VectorInfo("dense", 384, models.Distance.DOT)}),
        target().capabilities,
    )
    [request] = wide.describe(Query(vectors={"wide": [0.5] * 384})).requests
    assert '[0.5, 0.5, 0.5, 0.5, "… 384 numbers"]' in json.dumps(request["query"], ensure_ascii=False)
    assert len(str(wide.describe())) < 1000


def test_a_description_embeds_nothing() -> None:
    with refused(StrategyError, "describe(query) embeds nothing", "Query(vectors=…)"):
        planned(HYBRID).describe(Query("text", {"dense": dense("text")}))
    with refused(QueryError, "has 4 dimensions"):
        planned(HYBRID).describe(Query("text", {"dense": [1.0], "bm25": bm25("a")}))


def test_what_older_servers_ignore_is_told_from_what_they_refuse() -> None:
    refusals = planned(Formula(score(), score_threshold=0.5).over(Nearest("dense"))).describe().refusals
    assert [str(refusal) for refusal in refusals] == [
        "before 1.17: ignored (score_threshold on a formula)",
        "before 1.14: refused (formula queries)",
        "before 1.10: refused (queries over prefetched candidates)",
    ]


def test_warnings_are_part_of_the_text() -> None:
    text = str(planned(Nearest("dense", limit=5), options=SearchOptions(3)).describe())
    assert "warning      limit=5 of the outermost stage has no effect" in text


def test_an_explanation_is_json() -> None:
    explanation: Any = planned(HYBRID, options=SearchOptions(5, offset=2, shard_key_selector="eu")).describe()
    assert json.loads(json.dumps(explanation.requests))[0]["offset"] == 2


@pytest.mark.parametrize("option", ["api-key", "openai-api-key"])
def test_an_explanation_keeps_the_keys_of_model_providers_to_itself(option: str) -> None:
    document = models.Document(text="fox", model="openai/text-embedding-3-small", options={option: "sk-secret"})
    assert "sk-secret" not in str(planned(Nearest("dense")).describe(Query(vectors={"dense": document})))

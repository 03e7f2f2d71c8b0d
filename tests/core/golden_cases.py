"""The table behind the request goldens: a strategy, a scope and a server for each name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

from qdrant_client import models

from qdrant_rerank import (
    Formula,
    Fusion,
    Mmr,
    Nearest,
    SearchOptions,
    Strategy,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    field,
    geo_distance,
    now,
    param,
    score,
    sigmoid,
    when,
)
from qdrant_rerank.expressions import divide, instant, raw

NEWS = models.Filter(must=[models.FieldCondition(key="category", match=models.MatchValue(value="news"))])
CHEAP = models.Filter(must=[models.FieldCondition(key="meta.price", range=models.Range(lt=20.0))])
EITHER = models.Filter(should=[NEWS, CHEAP])
EXACT = models.SearchParams(exact=True)
FINE = models.SearchParams(hnsw_ef=256, quantization=models.QuantizationSearchParams(rescore=True))
DENSE, WORDS = Nearest("dense", limit=100), Nearest("bm25", limit=80)
LEARNED = 0.8 * score() + 0.3 * field("rating", default=2.5) - 0.1 * param("budget") + 0.05
SERVERS = ("1.14.0", "1.16.0", "1.20.0", "local-1.20.0")


class Case(NamedTuple):
    """One golden: what is asked of which server."""

    strategy: Strategy
    options: SearchOptions = SearchOptions()
    server: str = "1.20.0"


def cases() -> dict[str, Case]:
    """Every golden by its name."""
    return dict([*_stages(), *_scopes(), *_filters(), *_formulas()])


def _stages() -> Iterator[tuple[str, Case]]:
    hybrid = Fusion.rrf().over(DENSE, WORDS)
    stages: dict[str, Strategy] = {
        "nearest-dense": Nearest("dense"),
        "nearest-only-dense": Nearest(),
        "nearest-sparse": Nearest("bm25"),
        "nearest-multi": Nearest("colbert"),
        "nearest-own-filter": Nearest("dense", filter=NEWS, score_threshold=0.1, search_params=EXACT, name="first"),
        "rescoring-multi": Nearest("colbert").over(DENSE),
        "rescoring-twice": Nearest("colbert").over(Nearest("dense", limit=50).over(WORDS)),
        "rescoring-candidates-by-default": Nearest("colbert").over(Nearest("dense")),
        "rrf": hybrid,
        "rrf-k": Fusion.rrf(k=61).over(DENSE, WORDS),
        "rrf-weights": Fusion.rrf(weights=[3, 1]).over(DENSE, WORDS),
        "rrf-k-weights": Fusion.rrf(k=10, weights=[0.5, 2.0]).over(DENSE, WORDS),
        "rrf-own-clauses": Fusion.rrf(filter=NEWS, score_threshold=0.01).over(DENSE, WORDS),
        "dbsf": Fusion.dbsf().over(DENSE, WORDS),
        "dbsf-within-rrf": Fusion.rrf().over(Fusion.dbsf(limit=60, score_threshold=0.2).over(DENSE, WORDS), Nearest("colbert")),
        "mmr": Mmr("dense"),
        "mmr-settings": Mmr("dense", diversity=0.25, candidates_limit=40, filter=CHEAP),
        "mmr-over-rrf": Mmr("dense", diversity=0.9).over(Fusion.rrf(limit=70).over(DENSE, WORDS)),
        "mmr-below": Formula(score()).over(Mmr("dense", limit=20, filter=CHEAP, score_threshold=0.1, search_params=FINE)),
        "leaf-clauses": Fusion.rrf().over(
            Nearest("dense", limit=30, filter=NEWS, score_threshold=0.2, search_params=FINE),
            Nearest("bm25", limit=20, filter=CHEAP),
        ),
        "every-stage": Mmr().over(
            Formula(score("rrf") + field("popularity", default=0), limit=40).over(
                Fusion.rrf(limit=60).over(DENSE, Nearest("colbert", limit=70).over(WORDS))
            )
        ),
    }
    for name, stage in stages.items():
        yield name, Case(stage)


def _scopes() -> Iterator[tuple[str, Case]]:
    scopes = {
        "limit": SearchOptions(limit=3),
        "limit-beyond-candidates": SearchOptions(limit=70),
        "offset": SearchOptions(limit=5, offset=60),
        "filter": SearchOptions(filter=NEWS),
        "threshold": SearchOptions(score_threshold=0.25),
        "params": SearchOptions(search_params=EXACT),
        "shard-key": SearchOptions(shard_key_selector="eu"),
        "shard-keys": SearchOptions(shard_key_selector=["eu", 7]),
        "consistency": SearchOptions(consistency=models.ReadConsistencyType.QUORUM, timeout=3),
        "no-payload": SearchOptions(with_payload=False),
        "payload-keys": SearchOptions(with_payload=["text", "meta.price"]),
        "payload-selector": SearchOptions(with_payload=models.PayloadSelectorExclude(exclude=["text"])),
        "vectors": SearchOptions(with_vectors=True),
        "vector-names": SearchOptions(with_vectors=["dense"]),
        "group": SearchOptions(limit=4, group_by="doc"),
        "group-size": SearchOptions(limit=4, group_by="doc", group_size=3, filter=NEWS, shard_key_selector="eu", timeout=9),
        "everything": SearchOptions(8, CHEAP, 0.01, 2, FINE, "eu", 2, 5, ["text"], ["dense"]),
    }
    full = Nearest("dense", filter=NEWS, score_threshold=0.5, search_params=FINE)
    for name, options in scopes.items():
        yield f"scope-{name}", Case(Fusion.rrf().over(DENSE, WORDS), options)
    yield "scope-group-by-qdrant", Case(Nearest("colbert").over(DENSE), SearchOptions(limit=4, group_by="doc"))
    by_keys = SearchOptions(limit=4, group_by="doc", group_size=3, filter=NEWS, shard_key_selector="eu", timeout=9)
    yield "scope-group-size-by-qdrant", Case(full, by_keys)
    yield "scope-over-own-clauses", Case(full, SearchOptions(filter=CHEAP, score_threshold=0.0, search_params=EXACT))


def _filters() -> Iterator[tuple[str, Case]]:
    inner = Nearest("dense", limit=50, filter=EITHER).over(Nearest("bm25", limit=80, filter=CHEAP))
    strategy = Fusion.rrf(filter=EITHER).over(inner, WORDS)
    yield "filter-alternatives", Case(strategy, SearchOptions(filter=EITHER))
    yield "filter-alternatives-alone", Case(Nearest("dense"), SearchOptions(filter=EITHER))
    yield "filter-alternatives-groups", Case(strategy, SearchOptions(group_by="doc"))
    yield "filter-not-handed-on", Case(strategy, SearchOptions(filter=NEWS), "local-1.17.0")
    yield "filter-not-handed-on-by-the-root-alone", Case(strategy, server="local-1.17.0")


def _formulas() -> Iterator[tuple[str, Case]]:
    for name, formula in _expressions().items():
        strategy = Formula(formula).over(DENSE)
        for server in SERVERS:
            yield f"formula-{name}-{server}", Case(strategy, server=server)
    both = Formula(2 * score("dense") + score("bm25", default=-1.5)).over(DENSE, WORDS)
    yield "formula-two-candidates", Case(both)
    yield "formula-names", Case(Formula(score("a") - score("b")).over(Nearest("dense", name="a"), Nearest("dense", name="b")))
    yield "formula-nested", Case(Formula(score() ** 2).over(Formula(-score(), limit=30, filter=NEWS).over(DENSE)))
    threshold = Formula(score(), score_threshold=0.5, filter=CHEAP).over(DENSE)
    yield "formula-threshold", Case(threshold, SearchOptions(filter=NEWS))


def _expressions() -> dict[str, Any]:
    start = dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)
    age = now() - datetime_field("published", default=start)
    return {
        "constant": 0.1,
        "linear": LEARNED,
        "sigmoid": sigmoid(LEARNED),
        "conditions": when(NEWS, 2.0, field("popularity")) + 0.5 * when(CHEAP),
        "decays": decay_exp(age, scale=86_400) + decay_gauss(field("x", default=1), 5, scale=0.3) + decay_lin(score(), scale=2),
        "places": -geo_distance((52.5, 13.4), "place", default=1e7) - geo_distance("here", "place"),
        "arithmetic": divide(score(), field("popularity", default=1), at_zero=0.5) - (-field("meta.price")) ** 3 / 4,
        "times": instant(dt.datetime(2025, 3, 1)) - datetime_field("published"),
        "raw": raw(models.LnExpression(ln=models.SumExpression(sum=["popularity", 1.0]))) + score(),
    }

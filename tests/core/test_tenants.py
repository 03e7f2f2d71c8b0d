"""What is said of points that were looked at: only of those that the call may see."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever
from llama_index_qdrant_rerank import QdrantRerankPostprocessor, RerankerPostprocessor
from llama_index_qdrant_rerank import QdrantRerankRetriever as NodeRetriever
from qdrant_rerank import (
    Executor,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    PlanWarning,
    SearchOptions,
    StrategyError,
    field,
    from_json,
)
from qdrant_rerank._internals import names_points
from tests.core.tenants import MINE, OURS, QUERY, fill_two_tenants
from tests.support import CountingClient, refused

pytestmark = pytest.mark.filterwarnings("ignore:.* shards:qdrant_rerank.PlanWarning")  # on a server with several


SPREAD = {"edges": [0.5], "shares": [0.5, 0.5], "missing": 0.0, "size": 150}


def learned(key: str, reference: dict[str, Any] = SPREAD, **more: Any) -> Any:
    """A formula that was learned on a collection whose points have the key."""
    read = f"field({key!r}, default=0)"
    trained = {
        "kind": "trained",
        "features": [{"kind": "trained_feature", "name": key, "expression": read, "reference": reference}],
    }
    candidate = {"kind": "nearest", "using": "dense", "limit": 4}
    return from_json(
        json.dumps(
            {"kind": "formula", "expression": f"score() + {read}", "trained": trained, "candidates": [candidate], **more}
        )
    )


@pytest.fixture
def client() -> CountingClient:
    made: CountingClient = fill_two_tenants(CountingClient())
    return made


@pytest.mark.parametrize("fixed", [True, False])
def test_a_refused_plan_quotes_no_value_of_points_that_the_call_may_not_see(client: CountingClient, fixed: bool) -> None:
    executor = Executor(client, "two", fixed_filter=OURS if fixed else None)
    with refused(PlanError, "reads 'secret'", "8 random points were looked at; there are", "'tenant'") as caught:
        executor.plan(learned("secret"), SearchOptions(limit=3, filter=None if fixed else OURS))
    assert "B-SECRET" not in str(caught.value)
    assert "'secret'" not in str(caught.value).partition("there are")[2]
    with refused(PlanError, "but text, e.g. 'B-SECRET"):  # to who may see all
        Executor(client, "two").plan(learned("secret"), SearchOptions(limit=3))


def test_a_sample_of_one_call_is_not_that_of_another(client: CountingClient) -> None:
    executor, strategy = Executor(client, "two"), learned("secret")
    theirs = models.Filter(must_not=[OURS])
    with refused(PlanError, "B-SECRET"):
        executor.plan(strategy, SearchOptions(limit=3, filter=theirs))
    with refused(PlanError, "reads 'secret'") as caught:
        executor.plan(strategy, SearchOptions(limit=3, filter=OURS))
    assert "B-SECRET" not in str(caught.value)


def test_a_key_that_no_point_of_the_call_has_but_others_do_is_no_reason_to_refuse(client: CountingClient) -> None:
    theirs = models.Filter(must_not=[OURS])
    with pytest.warns(PlanWarning, match="'size' is far from"):  # of theirs, all lack it
        Executor(client, "two").plan(learned("size"), SearchOptions(limit=3, filter=theirs))
    with refused(PlanError, "reads 'size'"):
        Executor(client, "two", fixed_filter=theirs).plan(learned("size"), SearchOptions(limit=3))


def test_drift_is_told_of_the_calls_own_points_and_not_of_points_chosen_by_their_ids(client: CountingClient) -> None:
    elsewhere = {"edges": [0.003, 0.05], "shares": [0.0, 0.0, 1.0], "missing": 0.0, "size": 1500}
    strategy, executor = learned("rank", elsewhere), Executor(client, "two")
    with pytest.warns(PlanWarning, match="over 8 random points"):
        made = executor.plan(strategy, SearchOptions(limit=3, filter=OURS))
    assert "feature-drift" in {lint.code for lint in made.warnings}
    assert "feature-drift" in {lint.code for lint in executor.plan(strategy, SearchOptions(limit=2, filter=OURS)).warnings}
    other = executor.plan(strategy, SearchOptions(limit=3, filter=models.Filter(must_not=[OURS])))
    assert "feature-drift" not in {lint.code for lint in other.warnings}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*PSI")
        chosen = models.Filter(must=[models.HasIdCondition(has_id=list(MINE))])
        Executor(client, "two").plan(strategy, SearchOptions(limit=3, filter=chosen))


def test_samples_do_not_pile_up(client: CountingClient) -> None:
    executor = Executor(client, "two")
    for number in range(70):
        one = models.Filter(must=[models.FieldCondition(key="rank", range=models.Range(gte=-number))])
        with pytest.warns(PlanWarning):
            executor.plan(learned("rank"), SearchOptions(limit=3, filter=one))
    assert len(executor.target().quirks.samples) == 64


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, False),
        (OURS, False),
        (models.Filter(must=models.HasIdCondition(has_id=[1])), True),
        (models.Filter(must=[OURS, models.Filter(must=[models.HasIdCondition(has_id=[1])])]), True),
        (models.Filter(should=[models.HasIdCondition(has_id=[1])]), False),
    ],
)
def test_whether_a_filter_names_points(filter: models.Filter | None, expected: bool) -> None:
    assert names_points(filter) is expected


THEIRS_LACK = Formula(field("size"))
NO_VALUE = "No value found for size in the payload nor the formula defaults"


@pytest.mark.parametrize(
    "strategy",
    [
        THEIRS_LACK.over(Nearest("dense", filter=OURS)),
        THEIRS_LACK.over(Nearest("dense", filter=OURS, limit=4), Nearest("sparse", filter=OURS, limit=4, name="s")),
        Formula(field("size"), filter=OURS).over(Nearest("dense")),
        Fusion.rrf(filter=OURS).over(Formula(field("size"), limit=4).over(Nearest("dense"))),
    ],
)
def test_the_point_that_is_named_is_one_that_the_strategy_may_come_upon(client: CountingClient, strategy: Any) -> None:
    plan = Executor(client, "two").plan(strategy, SearchOptions(limit=3))
    executor = Executor(client, "two")

    class Refusing(Executor):
        """Refuses the query itself, as an engine does for a value that it can't read."""

        def search(self, step: Any) -> Any:
            if step.schema is not None:
                raise ValueError(NO_VALUE)
            return executor.search(step)

    from qdrant_rerank._internals import run

    with pytest.raises(ValueError, match=NO_VALUE):  # not a PlanError: all that it may come upon have the key
        run(plan.flow(QUERY), Refusing(client, "two"))
    open_to_all = Executor(client, "two").plan(THEIRS_LACK.over(Nearest("dense")), SearchOptions(limit=3))
    with refused(PlanError, "reads 'size' without a default, but e.g. point 1"):
        run(open_to_all.flow(QUERY), Refusing(client, "two"))


# In the adapters


def retriever(client: QdrantClient, **settings: Any) -> QdrantRerankRetriever:
    settings = {"strategy": Nearest("dense"), "payload": "flat", "k": 20, "fixed_filter": OURS, **settings}
    return QdrantRerankRetriever(client=client, collection_name="two", **settings)


def test_no_option_of_langchain_replaces_a_fixed_filter(client: CountingClient) -> None:
    ours = retriever(client)
    vectors = QUERY.vectors
    assert len(ours.invoke("q", vectors=vectors)) == 8
    everyone = models.Filter()
    bound = ours.bind(filter=models.Filter(must_not=[OURS])).bind(filter=everyone)  # the last one counts
    assert len(bound.invoke("q", vectors=vectors)) == 8
    with refused(TypeError, "no option 'fixed_filter'"):
        ours.bind(fixed_filter=everyone).invoke("q", vectors=vectors)
    with refused(ValueError, "fixed_filter can't be configurable"):
        ours.configurable_fields(fixed_filter=_configurable())
    with refused(ValueError, "fixed_filter can't be configurable"):
        ours.configurable_fields(k=_configurable()).configurable_fields(fixed_filter=_configurable())
    for_others = ours.model_copy(update={"fixed_filter": models.Filter(must_not=[OURS])})
    assert len(for_others.invoke("q", vectors=vectors)) == 20
    assert len(ours.invoke("q", vectors=vectors)) == 8
    with refused(ValueError, "filter must be a qdrant_client.models.Filter"):
        retriever(client, fixed_filter="A")


def _configurable() -> Any:
    from langchain_core.runnables import ConfigurableField

    return ConfigurableField(id="x")


def test_no_option_of_llama_index_replaces_a_fixed_filter(client: CountingClient) -> None:
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    place: dict[str, Any] = {"client": client, "collection_name": "two", "fixed_filter": OURS}
    ours = NodeRetriever(**place, strategy=Nearest("dense"), payload="flat", similarity_top_k=20)
    bundle = QueryBundle("q", embedding=[1.0, 0.0])
    assert len(ours.retrieve(bundle)) == 8
    assert len(ours.with_options(filter=models.Filter()).retrieve(bundle)) == 8
    with refused(TypeError, "no option 'fixed_filter'"):
        ours.with_options(fixed_filter=None)  # type: ignore[call-arg]
    with refused(StrategyError, "fixed_filter must be a qdrant_client.models.Filter"):
        NodeRetriever(**{**place, "fixed_filter": "A"})
    with refused(StrategyError, "schema_ttl must be"):
        NodeRetriever(**place, schema_ttl=0)
    nodes = [NodeWithScore(node=TextNode(id_=str(number), text="t"), score=1.0) for number in (1, 101)]
    ranking = QdrantRerankPostprocessor(Nearest("dense"), **place, missing="drop")
    assert [each.node.node_id for each in ranking.postprocess_nodes(nodes, bundle)] == ["1"]
    with refused(TypeError, "fixed_filter"):
        RerankerPostprocessor(lambda query, texts: [0.0] * len(texts), fixed_filter=OURS)  # type: ignore[call-arg]
    with refused(TypeError, "schema_ttl"):
        RerankerPostprocessor(lambda query, texts: [0.0] * len(texts), schema_ttl=None)  # type: ignore[call-arg]


@pytest.mark.parametrize("ttl", [0, "soon"])
def test_a_time_to_live_of_langchains_retriever_is_checked(client: CountingClient, ttl: Any) -> None:
    with refused(ValueError, "schema_ttl must be a number of seconds above 0"):
        retriever(client, schema_ttl=ttl)
    assert retriever(client, schema_ttl=None).schema_ttl is None

"""The model must read the same texts as when the coefficients were fitted: what is refused, what passes, what is told."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Coefficients,
    Executor,
    Nearest,
    PayloadMapping,
    PlanError,
    PlanWarning,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
)
from qdrant_rerank._internals import PRESETS, TextSource, as_mapping
from tests.support import CountingClient, refused

from .support import FITTED, Numbers

TITLED = TextSource(keys=("title", "text"), joiner=" ")
NAME = "books"


def fill(client: QdrantClient) -> None:
    client.create_collection(NAME, vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)})
    points = [
        models.PointStruct(
            id=number, vector={"dense": [1.0, number / 10, 0.0, 0.0]}, payload={"title": "t", "text": f"n{number}"}
        )
        for number in range(1, 12)
    ]
    client.upsert(NAME, points)


@pytest.fixture
def books() -> Iterator[CountingClient]:
    client = CountingClient()
    fill(client)
    yield client
    client.close()


def fitted(text: TextSource | None, **changes: Any) -> RelevanceFeedback:
    provenance = replace(FITTED, text=text, **changes)
    return RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=Coefficients(1.0, 0.5, 0.3, provenance))


def reading(client: QdrantClient, payload: Any) -> Executor:
    return Executor(client, NAME, reranker=Numbers(), payload=payload)


QUERY = Query("n", {"dense": [1.0, 0.0, 0.0, 0.0]})


def test_another_text_than_the_fit_s_is_refused_with_what_makes_it_equal(books: CountingClient) -> None:
    strategy = fitted(TITLED)
    with refused(
        PlanError,
        "'text', was 'title' + 'text' (joined by ' ')",
        "11 of 11 random points differ",
        "payload=PayloadMapping(text=('title', 'text'), joiner=' ')",
        "trust=True",
    ):
        reading(books, "flat").plan(strategy)
    assert books.calls.count("query_points") == 1
    remedy = PayloadMapping(text=("title", "text"), joiner=" ")
    assert len(reading(books, remedy).retrieve(strategy, QUERY, SearchOptions(3))) == 3
    assert reading(books, "flat").plan(replace(strategy, trust=True)).warnings == ()


def test_another_joiner_is_another_text(books: CountingClient) -> None:
    with refused(PlanError, "(joined by '\\n\\n'), was 'title' + 'text' (joined by ' ')"):
        reading(books, PayloadMapping(text=("title", "text"))).plan(fitted(TITLED))


def test_a_single_key_s_remedy_has_no_joiner(books: CountingClient) -> None:
    with refused(PlanError, "with payload=PayloadMapping(text='text'), or fit again"):
        reading(books, PayloadMapping(text=("title", "text"))).plan(fitted(TextSource(keys=("text",))))


def test_keys_that_no_point_has_make_no_difference(books: CountingClient) -> None:
    runner = reading(books, PayloadMapping(text=("title", "text", "body"), joiner=" "))
    assert runner.plan(fitted(TITLED)).warnings == ()
    again = books.calls.count("query_points")
    runner.plan(replace(fitted(TITLED), limit=40))
    assert books.calls.count("query_points") == again == 1  # what was looked at is kept


def test_the_same_source_is_taken_without_a_look(books: CountingClient) -> None:
    reading(books, "flat").plan(fitted(TextSource(keys=("text",))))
    assert "query_points" not in books.calls


def test_a_file_that_does_not_know_what_was_read_passes(books: CountingClient, tmp_path: Path) -> None:
    old = fitted(None)
    old.weights.save(tmp_path / "old.json")
    assert "text" not in (tmp_path / "old.json").read_text()
    reading(books, "flat").plan(RelevanceFeedback.load(tmp_path / "old.json"))
    assert "query_points" not in books.calls


def test_what_was_read_is_kept_in_the_file(tmp_path: Path) -> None:
    for source in (TITLED, TextSource(nodes=True, metadata="embed"), TextSource(function="mine.read")):
        fitted(source).weights.save(tmp_path / "c.json")
        assert RelevanceFeedback.load(tmp_path / "c.json") == fitted(source)


def test_without_a_model_nothing_is_compared(books: CountingClient) -> None:
    assert Executor(books, NAME).plan(fitted(TITLED, reranker=None)).warnings == ()
    assert "query_points" not in books.calls


def test_feedback_below_a_reranking_is_checked_too(books: CountingClient) -> None:
    with refused(PlanError, "11 of 11 random points differ"):
        reading(books, "flat").plan(Rerank(reads=5).over(fitted(TITLED)))
    with refused(PlanError, "the reranker is 'numbers', was 'other'"):
        reading(books, "flat").plan(Rerank(reads=5).over(fitted(None, reranker="other")))


async def test_the_async_executor_refuses_as_well(books: CountingClient) -> None:
    with refused(PlanError, "11 of 11 random points differ"):
        await AsyncExecutor(books, NAME, reranker=Numbers()).plan(fitted(TITLED))


# Where nothing can tell


def upper(payload: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return str(payload["text"]).upper(), {}


class Reader:
    def __call__(self, payload: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        return str(payload["text"]), {}


def test_a_function_that_read_for_the_fit_is_known_by_its_name_and_another_source_is_told_aloud(
    books: CountingClient,
) -> None:
    mapping = as_mapping(upper)
    assert mapping.source.function == "tests.feedback.test_texts.upper"
    assert as_mapping(Reader()).source.function == "tests.feedback.test_texts.Reader"
    strategy = fitted(mapping.source)
    assert reading(books, upper).plan(strategy).warnings == ()
    with pytest.warns(
        PlanWarning, match="may read other texts .* was what tests.feedback.test_texts.upper makes of the payload"
    ):
        made = reading(books, "flat").plan(strategy)
    assert [warning.code for warning in made.warnings] == ["other-text"]  # type: ignore[attr-defined, unused-ignore]
    assert reading(books, "flat").plan(replace(strategy, trust=True)).warnings == ()


def test_a_function_now_is_compared_by_what_it_returns(books: CountingClient) -> None:
    assert reading(books, Reader()).plan(fitted(TextSource(keys=("text",)))).warnings == ()
    with refused(PlanError, "what tests.feedback.test_texts.upper makes of the payload, was 'text'"):
        reading(books, upper).plan(fitted(TextSource(keys=("text",))))


def test_an_empty_collection_can_not_tell(books: CountingClient) -> None:
    books.delete(NAME, models.FilterSelector(filter=models.Filter()))
    with pytest.warns(PlanWarning) as caught:
        reading(books, "flat").plan(fitted(TITLED))
    assert any("may read other texts" in str(warning.message) for warning in caught)


def test_strict_mode_s_limit_is_kept_to(books: CountingClient, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, info = reading(books, "flat"), books.get_collection(NAME)
    info.config.strict_mode_config = models.StrictModeConfigOutput(enabled=True, max_query_limit=4)
    monkeypatch.setattr(books, "get_collection", lambda name: info)
    with refused(PlanError, "4 of 4 random points differ"):
        runner.plan(fitted(TITLED))


# What a source reads


NODE = {"_node_content": '{"text": "inside"}', "title": ""}


def test_a_source_reads_what_its_mapping_reads() -> None:
    both = TextSource(keys=("title", "text"), joiner=" ", nodes=True)
    assert both.read({"title": "A", "text": "b"}) == "A b"
    assert both.read(NODE) == "inside"
    assert PRESETS["llama_index"].source.read(NODE) == "inside"
    assert TextSource(keys=("title",)).read(NODE) == ""


def test_the_remedy_is_the_preset_where_llama_index_wrote_the_collection() -> None:
    both, flat = TextSource(keys=("title",), nodes=True), TextSource(keys=("text",))
    assert both.remedy(flat, (NODE,)) == "payload='llama_index'"
    assert both.remedy(flat, (NODE, {"title": "A"})) == "payload=PayloadMapping(text='title')"
    assert TextSource(nodes=True).remedy(flat, ({"title": "A"},)) == "payload='llama_index'"
    assert both.remedy(replace(both, metadata="embed"), (NODE,)) == "payload='llama_index', metadata_mode=MetadataMode.NONE"


def test_a_source_tells_in_words_what_it_is() -> None:
    assert str(TextSource(keys=("a",), nodes=True)) == "'a' or the node that LlamaIndex wrote"
    assert str(TextSource(nodes=True, metadata="embed")) == (
        "the node that LlamaIndex wrote, with a LlamaIndex node's metadata ('embed')"
    )


# What is not recommended


def recommending(verdict: Any) -> RelevanceFeedback:
    return fitted(None, recommends=verdict)


@pytest.mark.parametrize(("verdict", "part"), [("plain", "plain search did"), ("rerank", "plain reranking (Rerank) did")])
def test_what_the_fit_did_not_recommend_is_told_aloud_once_a_plan(books: CountingClient, verdict: str, part: str) -> None:
    strategy, runner = recommending(verdict), reading(books, "flat")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for limit in (1, 2, 3):
            runner.retrieve(strategy, QUERY, SearchOptions(limit, score_threshold=-5.0))
    [told] = caught
    assert told.category is PlanWarning
    assert part in str(told.message)


def test_what_the_fit_recommended_is_not_told(books: CountingClient) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reading(books, "flat").plan(recommending("feedback"))
        reading(books, "flat").plan(recommending(None))

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from qdrant_rerank import QueryError, ScoringError, StrategyError
from qdrant_rerank._internals import AsyncReranker
from qdrant_rerank.models import CohereReranker
from tests.models.stub_cohere import Alter, Drip, Drop, Hang, Meet, Refuse, StubCohere
from tests.waiting import PATIENCE

QUERY = "bikes on the ferry"
TEXTS = ["no bikes here", "bikes go free on the ferry", "a hut by the lake"]
SCORES = [0.25, 1.0, 0.25]


@pytest.fixture
def server() -> Iterator[StubCohere]:
    with StubCohere() as running:
        yield running


class Model:
    """A reranker asked synchronously and asynchronously by one method."""

    def __init__(self, how: str, **settings: Any) -> None:
        self.reranker = CohereReranker(api_key="key", **{"timeout": 60.0, "seconds": 60.0, **settings})
        self.how = how

    async def score(self, query: str, texts: list[str]) -> list[float]:
        if self.how == "sync":
            return self.reranker.score(query, texts)
        return await self.reranker.ascore(query, texts)


@pytest.fixture(params=["sync", "async"])
async def make(request: pytest.FixtureRequest, server: StubCohere) -> AsyncIterator[Callable[..., Model]]:
    made: list[Model] = []

    def model(**settings: Any) -> Model:
        made.append(Model(request.param, base_url=server.url, **settings))
        return made[-1]

    yield model
    for one in made:
        one.reranker.close()
        await one.reranker.aclose()


Make = Callable[..., Model]


async def test_scores_come_in_the_order_of_the_texts_whatever_the_order_of_the_answer(server: StubCohere, make: Make) -> None:
    assert await make().score(QUERY, TEXTS) == SCORES

    [request] = server.requests
    assert request.path == "/v2/rerank"
    assert request.body == {"model": "rerank-v3.5", "query": QUERY, "documents": TEXTS}
    assert request.headers["authorization"] == "Bearer key"


async def test_the_model_is_chosen_by_name_and_long_texts_are_cut_by_the_api(server: StubCohere, make: Make) -> None:
    long = "bikes " * 17_000
    assert await make(model="rerank-multilingual-v3.0", max_tokens_per_doc=512).score(QUERY, [long]) == [0.25]

    [request] = server.requests
    assert (request.body["model"], request.body["max_tokens_per_doc"]) == ("rerank-multilingual-v3.0", 512)
    assert request.body["documents"] == [long]
    assert len(long) > 100_000


async def test_many_texts_are_several_requests_and_their_scores_are_put_together(server: StubCohere, make: Make) -> None:
    assert await make(batch_size=2).score(QUERY, TEXTS * 2) == SCORES * 2
    assert [len(request.body["documents"]) for request in server.requests] == [2, 2, 2]


async def test_empty_texts_are_not_sent_and_get_the_lowest_score(server: StubCohere, make: Make) -> None:
    assert await make().score(QUERY, ["", TEXTS[1], " \n"]) == [0.0, 1.0, 0.0]
    assert [request.body["documents"] for request in server.requests] == [[TEXTS[1]]]

    assert await make().score(QUERY, [""]) == [0.0]
    assert await make().score(QUERY, []) == []
    assert len(server.requests) == 1


async def test_an_empty_query_is_refused_before_anything_is_sent(server: StubCohere, make: Make) -> None:
    with pytest.raises(QueryError, match="the query is empty"):
        await make().score(" ", TEXTS)
    assert server.requests == []


@pytest.mark.parametrize("fault", [Refuse(429), Refuse(500), Refuse(503), Drop()], ids=repr)
async def test_a_passing_fault_is_repeated(server: StubCohere, make: Make, fault: Any) -> None:
    server.script += [fault]

    assert await make().score(QUERY, TEXTS) == SCORES
    assert len(server.requests) == 2


async def test_several_faults_one_after_the_other_are_repeated_until_they_pass(server: StubCohere, make: Make) -> None:
    server.script += [Refuse(429), Drop(), Refuse(500)]

    assert await make().score(QUERY, TEXTS) == SCORES
    assert len(server.requests) == 4


async def test_a_timeout_is_repeated(server: StubCohere, make: Make) -> None:
    server.script += [Hang(60)]

    assert await make(timeout=0.5, attempts=20).score(QUERY, TEXTS) == SCORES
    assert len(server.requests) >= 2  # 2 unless the machine is too busy to answer in half a second


async def test_the_pause_is_as_long_as_retry_after_says(server: StubCohere, make: Make) -> None:
    server.script += [Refuse(429, retry_after="1")]

    assert await make().score(QUERY, TEXTS) == SCORES
    first, second = server.requests
    assert second.at - first.at >= 1.0  # by itself it would pause for half a second at most


async def test_a_pause_beyond_the_budget_is_not_begun(server: StubCohere, make: Make) -> None:
    from cohere.errors import TooManyRequestsError

    server.script += [Refuse(429, retry_after="60")]

    with pytest.raises(TooManyRequestsError) as caught:
        await make(seconds=50).score(QUERY, TEXTS)
    assert len(server.requests) == 1
    assert "gave up after 1 attempts" in caught.value.__notes__[0]
    assert "the next would have been 6" in caught.value.__notes__[0]


async def test_after_the_last_attempt_the_sdks_own_error_is_raised_with_a_note(server: StubCohere, make: Make) -> None:
    from cohere.errors import InternalServerError

    server.script += [Refuse(500)] * 9

    with pytest.raises(InternalServerError) as caught:
        await make(attempts=3).score(QUERY, TEXTS)
    assert len(server.requests) == 3  # the SDK's own retries don't multiply it
    assert "gave up after 3 attempts" in caught.value.__notes__[0]


async def test_the_time_budget_ends_a_call_that_hangs(server: StubCohere, make: Make) -> None:
    server.script += [Hang(60)] * 9  # the tenth attempt would succeed

    with pytest.raises(httpx.TimeoutException):
        await make(timeout=0.3, seconds=0.7, attempts=99).score(QUERY, TEXTS)
    assert len(server.requests) < 10


async def test_an_async_call_keeps_its_budget_even_if_the_answer_comes_drop_by_drop(server: StubCohere) -> None:
    server.script += [Drip()]
    model = CohereReranker(api_key="key", base_url=server.url, seconds=0.5)

    with pytest.raises(httpx.ReadTimeout, match="no answer within the time budget"):
        await model.ascore(QUERY, TEXTS)
    await model.aclose()


async def test_requests_of_one_call_share_its_budget(server: StubCohere, make: Make) -> None:
    server.script += [Hang(0.4), Hang(0.4), Hang(0.4)]

    with pytest.raises(httpx.TimeoutException):
        await make(batch_size=1, seconds=0.9, attempts=1).score(QUERY, TEXTS)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_refusals_that_will_not_pass_are_not_repeated(server: StubCohere, make: Make, status: int) -> None:
    from cohere.core import ApiError

    server.script += [Refuse(status, "no such model")]

    with pytest.raises(ApiError, match="no such model") as caught:
        await make().score(QUERY, TEXTS)
    assert caught.value.status_code == status
    assert len(server.requests) == 1


def changed(**fields: Any) -> Alter:
    """Changes fields of the first result."""
    return Alter(lambda right: {**right, "results": [{**right["results"][0], **fields}, *right["results"][1:]]})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Alter(lambda right: {**right, "results": right["results"][1:]}), "2 scores for 3 texts: none for index 1"),
        (Alter(lambda right: {**right, "results": []}), "0 scores for 3 texts: none for index 0, 1, 2"),
        (changed(relevance_score=float("nan")), "the score nan for index 1: it is no finite number"),
        (changed(relevance_score=None), "the score None for index 1: it is no finite number"),
        (changed(relevance_score="high"), "the score 'high' for index 1: it is no finite number"),
        (changed(index=7), r"a score for index 7, but 3 texts were sent \(0 to 2\)"),
        (changed(index=-1), "a score for index -1"),
        (changed(index="first"), "a score for index 'first'"),
        (changed(index=2), r"two scores for index 2: 1.0 and 0.25"),
        (Alter(lambda _: {"message": "hello"}), "no list of results"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_unusable_answer_is_an_error_that_says_what_came(
    server: StubCohere, make: Make, fault: Alter, message: str
) -> None:
    server.script += [fault]

    with pytest.raises(ScoringError, match=message):
        await make().score(QUERY, TEXTS)
    assert len(server.requests) == 1


async def test_an_answer_that_is_no_json_is_the_sdks_error(server: StubCohere, make: Make) -> None:
    from cohere.core import ApiError

    server.script += [Alter(lambda _: "<html>proxy</html>")]

    with pytest.raises(ApiError, match="proxy"):
        await make().score(QUERY, TEXTS)


async def test_a_server_that_is_not_there_is_tried_and_then_httpx_error(make: Make) -> None:
    model = Model(make().how, base_url="http://127.0.0.1:9", attempts=2)

    with pytest.raises(httpx.ConnectError) as caught:
        await model.score(QUERY, TEXTS)
    assert "gave up after 2 attempts" in caught.value.__notes__[0]


def test_each_event_loop_has_a_client_of_its_own_which_ends_with_it(server: StubCohere) -> None:
    model = CohereReranker(api_key="key", base_url=server.url)
    with asyncio.Runner() as one, asyncio.Runner() as other:
        for loop in (one, other, one, other):
            assert loop.run(model.ascore(QUERY, TEXTS)) == SCORES
        one.run(model.aclose())
        other.run(model.aclose())

        assert one.run(model.ascore(QUERY, TEXTS)) == SCORES  # opened anew
        one.run(model.aclose())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_loops_that_closed_without_closing_their_client_are_not_held_on_to(server: StubCohere) -> None:
    async def forget(model: CohereReranker) -> weakref.ref[asyncio.AbstractEventLoop]:
        await model.ascore(QUERY, TEXTS)
        return weakref.ref(asyncio.get_running_loop())

    def left() -> list[asyncio.AbstractEventLoop | None]:
        model = CohereReranker(api_key="key", base_url=server.url)
        loops = [asyncio.run(forget(model)) for _ in range(3)]
        gc.collect()
        return [loop() for loop in loops[:2]]

    assert left() == [None, None]
    gc.collect()  # of the last one, here, where warnings of its open connection are expected


async def test_one_model_serves_many_queries_at_once(server: StubCohere) -> None:
    model = CohereReranker(api_key="key", base_url=server.url, timeout=60, seconds=60)
    server.script += [Meet(threading.Barrier(16))] * 16

    answers = await asyncio.gather(*(model.ascore(QUERY, TEXTS) for _ in range(16)))
    await model.aclose()

    assert answers == [SCORES] * 16


async def test_a_cancelled_call_ends_at_once(server: StubCohere) -> None:
    model = CohereReranker(api_key="key", base_url=server.url, timeout=60, seconds=60)
    server.script += [Hang(60)]
    scoring = asyncio.create_task(model.ascore(QUERY, TEXTS))
    async with asyncio.timeout(PATIENCE):
        while not server.requests:
            await asyncio.sleep(0.01)
    scoring.cancel()
    await asyncio.wait([scoring], timeout=PATIENCE)

    assert scoring.cancelled()
    await model.aclose()
    assert len(server.requests) == 1


def test_the_fingerprint_tells_models_settings_and_addresses_apart_and_nothing_else() -> None:
    same = CohereReranker(api_key="a", seconds=1), CohereReranker(api_key="b", attempts=9, batch_size=5)
    others = CohereReranker("rerank-v4"), CohereReranker(max_tokens_per_doc=9), CohereReranker(base_url="http://x")

    assert len({model.fingerprint for model in same}) == 1
    assert len({model.fingerprint for model in (same[0], *others)}) == 4
    assert isinstance(same[0], AsyncReranker)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "needs the name of a model"),
        ({"batch_size": 1001}, "batch_size of CohereReranker must be 1 to 1000, the API's limit; got 1001"),
        ({"batch_size": 0}, "batch_size of CohereReranker must be 1 to 1000"),
        ({"attempts": 0}, "the attempts of CohereReranker must be a whole number of at least 1, got 0"),
        ({"seconds": 0}, "the seconds of CohereReranker must be a number of seconds above 0, got 0"),
        ({"timeout": float("nan")}, "the timeout of CohereReranker must be a number of seconds above 0, got nan"),
        ({"max_tokens_per_doc": 0}, "the max_tokens_per_doc of CohereReranker must be a whole number of at least 1, got 0"),
        ({"base_url": "api.cohere.com"}, "must be a web address like 'https://…', got 'api.cohere.com'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        CohereReranker(**settings)

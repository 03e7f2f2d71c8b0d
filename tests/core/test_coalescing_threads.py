"""Concurrent searches of threads leave together; what is one call's stays its own. Counts, never times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from llama_index.core.schema import QueryBundle
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import Executor, Nearest, Query, SearchOptions, TimeoutError
from qdrant_rerank._internals import ThreadCoalescer, within
from tests.stub_qdrant import Received, StubQdrant
from tests.waiting import PATIENCE, forked, wait_until

ASKED = Query(vectors={"": [1.0, 0.0, 0.0, 0.0]})
NONE: Mapping[str, Any] = {"consistency": None, "timeout": None}


class Interrupted(BaseException):
    """As Ctrl-C."""


class Engine:
    """Answers a request with its `limit`, once it is let go; keeps what it was asked, and by whom."""

    def __init__(self) -> None:
        self.batches: list[list[int | None]] = []
        self.told: list[Mapping[str, Any]] = []
        self.threads: list[int] = []
        self.gates: dict[int | None, threading.Event] = {}
        self.gate = threading.Event()
        self.fails: Callable[[list[int | None]], BaseException | None] = lambda batch: None

    def ask(self, requests: Sequence[models.QueryRequest], told: Mapping[str, Any]) -> list[int | None]:
        batch = [request.limit for request in requests]
        self.told.append(told)
        self.threads.append(threading.get_ident())
        self.batches.append(batch)
        assert self.gates.get(batch[0], self.gate).wait(PATIENCE)
        if (error := self.fails(batch)) is not None:
            raise error
        return batch


def request(number: int, **more: Any) -> models.QueryRequest:
    return models.QueryRequest(query=[0.5], limit=number, **more)


def refusal() -> UnexpectedResponse:
    said = b'{"status": {"error": "Wrong input: no"}}'
    return UnexpectedResponse(status_code=400, reason_phrase="", content=said, headers=httpx.Headers())


def unreachable() -> ResponseHandlingException:
    return ResponseHandlingException(httpx.ConnectError("refused"))


class World:
    """A coalescer and its engine, and searches that are begun one after the other, each in a thread of its own."""

    def __init__(self, **options: Any) -> None:
        self.engine = Engine()
        self.coalescer = ThreadCoalescer(self.engine.ask, **options)
        self.futures: list[Future[Any]] = []

    def begin(
        self,
        numbers: Sequence[int],
        told: Mapping[str, Any] = NONE,
        most: int | None = None,
        seconds: float | None = None,
        asked: models.QueryRequest | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        for number in numbers:
            self.futures.append(future := Future[Any]())
            known, before = self._known(), len(self.futures)

            def work(number: int = number, future: Future[Any] = future) -> None:
                try:
                    with _headers(headers), within(seconds):
                        future.set_result(self.coalescer.search(asked or request(number), told, most))
                except BaseException as error:
                    future.set_exception(error)

            threading.Thread(target=work, name=f"search {before}", daemon=True).start()
            wait_until(lambda known=known, future=future: self._known() > known or future.done())  # type: ignore[misc]

    def _known(self) -> int:
        return sum(map(len, self.engine.batches)) + len(self.coalescer._waiting)

    def outcomes(self) -> list[Any]:
        self.engine.gate.set()
        return [self.outcome(number) for number in range(len(self.futures))]

    def outcome(self, number: int) -> Any:
        error = self.futures[number].exception(PATIENCE)
        return self.futures[number].result() if error is None else error

    def hold_a_batch(self, seconds: float | None = None) -> None:
        """Seven calls, of which the first is answered, three are under way, and the last three are in a batch that is held."""
        self.engine.gates = {0: threading.Event(), 4: threading.Event()}
        self.begin(range(5))
        self.begin([5], seconds=seconds)
        self.begin([6])
        self.engine.gates[0].set()
        wait_until(lambda: [4, 5, 6] in self.engine.batches)


@contextmanager
def _headers(given: Mapping[str, str] | None) -> Iterator[None]:
    if given is None:
        yield
        return
    with pytest.importorskip("qdrant_client.context_headers").headers(given):
        yield


def test_what_comes_while_others_are_under_way_leaves_in_one_batch() -> None:
    world = World()
    world.begin(range(1, 11))
    assert sorted(world.engine.batches) == [[1], [2], [3], [4]]
    assert world.outcomes() == list(range(1, 11))
    assert world.engine.batches[4:] == [[5, 6, 7, 8, 9, 10]]
    world.begin([11])
    assert world.outcomes()[-1] == 11  # there is room again


def test_a_lone_search_goes_out_at_once_in_its_own_thread() -> None:
    engine = Engine()
    engine.gate.set()
    assert ThreadCoalescer(engine.ask).search(request(1), NONE) == 1
    assert (engine.batches, engine.threads) == ([[1]], [threading.get_ident()])


def test_batches_have_a_size_and_the_next_is_asked_for_when_one_is_answered() -> None:
    world = World()
    world.begin(range(1, 13), most=3)
    assert world.outcomes() == list(range(1, 13))
    assert sorted(world.engine.batches[4:]) == [[5, 6, 7], [8, 9, 10], [11, 12]]
    assert len(set(world.engine.threads)) == 7  # each by a thread that waited


def test_only_searches_of_one_consistency_and_with_the_same_headers_share_a_batch() -> None:
    world = World()
    world.begin(range(4))
    world.begin([11, 12])
    world.begin([21, 22], {"consistency": models.ReadConsistencyType.ALL, "timeout": None})
    world.begin([31, 32], {"consistency": None, "timeout": 3})
    world.begin([41, 42], headers={"x-tenant": "a"})
    world.begin([13])
    assert world.outcomes() == [0, 1, 2, 3, 11, 12, 21, 22, 31, 32, 41, 42, 13]
    assert sorted(world.engine.batches[4:]) == [[11, 12, 13], [21, 22], [31, 32], [41, 42]]


def test_a_batch_has_the_longest_time_that_is_left_of_its_calls() -> None:
    world = World()
    world.begin(range(4))
    for seconds in (3, 9, 5):
        world.begin([seconds], {"consistency": None, "timeout": seconds})
    world.outcomes()
    assert world.engine.told[4] == {"consistency": None, "timeout": 9}


def test_large_requests_travel_alone_and_wait_for_nothing() -> None:
    world = World()
    world.begin(range(5))
    world.begin([99], asked=models.QueryRequest(query=[0.5] * 2_000, limit=99))
    assert sorted(world.engine.batches) == [[0], [1], [2], [3], [99]]
    assert world.outcomes() == [0, 1, 2, 3, 4, 99]


def test_the_queue_is_bounded() -> None:
    world = World(most_waiting=2)
    world.begin(range(8))
    assert sorted(world.engine.batches) == [[0], [1], [2], [3], [6], [7]]
    assert world.outcomes() == list(range(8))


def test_where_searches_may_not_leave_together_each_goes_by_itself() -> None:
    world = World(shares=False)
    world.begin(range(8))
    assert sorted(world.engine.batches) == [[number] for number in range(8)]
    assert world.outcomes() == list(range(8))


def test_one_bad_request_fails_none_of_its_neighbours() -> None:
    world = World()
    world.engine.fails = lambda batch: refusal() if 6 in batch else None
    world.begin(range(8))
    answers = world.outcomes()
    assert [each for each in answers if not isinstance(each, Exception)] == [0, 1, 2, 3, 4, 5, 7]
    assert isinstance(answers[6], UnexpectedResponse)
    assert world.engine.batches[4] == [4, 5, 6, 7]
    assert sorted(world.engine.batches[5:]) == [[4], [5], [6], [7]]


def test_what_fails_them_all_is_asked_once_and_each_has_an_error_of_its_own() -> None:
    world = World()
    world.engine.fails = lambda batch: unreachable()
    world.begin(range(8))
    errors = world.outcomes()[4:]
    assert sorted(world.engine.batches) == [[0], [1], [2], [3], [4, 5, 6, 7]]
    assert {(type(each), str(each)) for each in errors} == {(ResponseHandlingException, str(unreachable()))}
    assert len({id(each) for each in errors}) == 4


def test_a_call_whose_time_is_over_where_it_waits_never_leaves() -> None:
    world = World()
    world.begin(range(5))
    world.begin([5], seconds=0.001)
    world.begin([6])
    error = world.outcome(5)
    assert isinstance(error, TimeoutError)
    assert "while searching, waiting for its turn" in str(error)
    assert [each for each in world.outcomes() if each is not error] == [0, 1, 2, 3, 4, 6]
    assert world.engine.batches[4:] == [[4, 6]]


@pytest.mark.parametrize("ending", ["answered", "refused", "failed"])
def test_a_call_whose_time_is_over_under_way_doesn_t_disturb_how_the_others_end(ending: str) -> None:
    world = World()
    failure = {"answered": None, "refused": refusal(), "failed": unreachable()}[ending]
    world.engine.fails = lambda batch: failure if len(batch) > 1 else None
    world.hold_a_batch(seconds=0.5)
    assert isinstance(world.outcome(5), TimeoutError)
    world.engine.gates[4].set()
    answers = world.outcomes()
    assert answers[:4] == [0, 1, 2, 3]
    if ending == "failed":
        assert [type(answer) for answer in (answers[4], answers[6])] == [ResponseHandlingException] * 2
    else:
        assert (answers[4], answers[6]) == (4, 6)
    again = [[4], [6]] if ending == "refused" else []
    assert sorted(world.engine.batches[5:]) == again


def test_where_the_thread_that_asks_is_interrupted_the_others_are_asked_for_by_the_next() -> None:
    world = World()
    world.engine.fails = lambda batch: Interrupted() if batch[0] == 4 else None
    world.hold_a_batch()
    world.engine.gates[4].set()
    answers = world.outcomes()
    assert isinstance(answers[4], Interrupted)
    assert [each for each in answers if each is not answers[4]] == [0, 1, 2, 3, 5, 6]
    assert world.engine.batches[5:] == [[5, 6]]
    assert not world.coalescer._asking


# By an executor

POINTS = [{"id": number, "score": 1.0 - number / 100, "payload": {"text": "a text"}} for number in range(30)]


AT_ONCE = 29


class Held(StubQdrant):
    """Answers searches once it is let go, but those for `AT_ONCE` points at once."""

    def __init__(self) -> None:
        super().__init__(points=POINTS)
        self.gate = threading.Event()
        self.gate.set()

    def answer(self, request: Received) -> tuple[int, Any]:
        if "/points/" in request.path and request.body.get("limit") != AT_ONCE:
            assert self.gate.wait(PATIENCE)
        return super().answer(request)

    def let_wait(self, ask: Callable[[int], Any], count: int, under_way: int) -> list[Any]:
        """What as many threads are answered, all of which ask before any is answered."""
        found: dict[int, Any] = {}

        def work(number: int) -> None:
            try:
                found[number] = ask(number)
            except Exception as error:
                found[number] = error

        self.gate.clear()
        before = len(self.received)
        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(1, count + 1)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(self.received) - before == under_way)
        self.gate.set()
        for thread in threads:
            thread.join(PATIENCE)
        return [found[number] for number in range(1, count + 1)]

    @property
    def sizes(self) -> list[int]:
        """How many searches each request for searches has."""
        return [len(each.body.get("searches", "1")) for each in self.received if "/points/" in each.path]


@pytest.fixture
def stub() -> Iterator[Held]:
    with Held() as held:
        yield held


@pytest.fixture
def client(stub: Held) -> Iterator[QdrantClient]:
    client = QdrantClient(url=stub.url, check_compatibility=False)
    yield client
    client.close()


def test_concurrent_searches_of_threads_leave_together_and_each_gets_its_own(stub: Held, client: QdrantClient) -> None:
    with Executor(client, "docs") as executor:
        executor.retrieve(Nearest(), ASKED)
        found = stub.let_wait(lambda number: executor.retrieve(Nearest(), ASKED, SearchOptions(number)), 24, under_way=4)
    assert [len(points) for points in found] == list(range(1, 25))
    assert stub.sizes[:5] == [1] * 5
    assert sum(stub.sizes) == 25
    assert max(stub.sizes) > 1


def test_it_can_be_switched_off_for_threads(stub: Held, client: QdrantClient) -> None:
    with Executor(client, "docs", coalesce=False) as executor:
        executor.retrieve(Nearest(), ASKED)
        stub.let_wait(lambda number: executor.retrieve(Nearest(), ASKED), 12, under_way=12)
    assert stub.sizes == [1] * 13


@pytest.mark.parametrize("coalesce", [True, False])
def test_retrievers_of_both_frameworks_hand_the_switch_on_to_threads(stub: Held, client: QdrantClient, coalesce: bool) -> None:
    lang = LangChainRetriever(client=client, collection_name="docs", payload="flat", coalesce=coalesce)
    llama = LlamaIndexRetriever(client=client, collection_name="docs", payload="flat", coalesce=coalesce)
    bundle = QueryBundle("q", embedding=[1.0, 0.0, 0.0, 0.0])
    asks: list[Callable[[int], Any]] = [
        lambda number: lang.invoke("q", vectors=[1.0, 0.0, 0.0, 0.0]),
        lambda number: llama.retrieve(bundle),
    ]
    for ask in asks:
        ask(0)
        before = len(stub.sizes)
        stub.let_wait(ask, 12, under_way=4 if coalesce else 12)
        assert (max(stub.sizes[before:]) > 1) == coalesce


def test_each_thread_keeps_its_filter_and_its_time(stub: Held, client: QdrantClient) -> None:
    def tenant(name: str) -> models.Filter:
        return models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value=name))])

    with Executor(client, "docs", fixed_filter=tenant("a")) as executor:
        executor.retrieve(Nearest(), ASKED)

        def ask(number: int) -> Any:
            options = SearchOptions(number, filter=tenant(str(number)), timeout=0.001 if number == 10 else 30.0)
            return executor.retrieve(Nearest(), ASKED, options)

        found = stub.let_wait(ask, 12, under_way=4)
    assert isinstance(found[9], TimeoutError)
    assert [len(each) for each in found if not isinstance(each, TimeoutError)] == [n for n in range(1, 13) if n != 10]
    for search in stub.searches[1:]:
        said = str(search["filter"])
        assert f"'{search['limit']}'" in said
        assert "'a'" in said


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_nobody_of_its_parent(stub: Held, client: QdrantClient) -> None:
    with Executor(client, "docs") as executor:
        executor.retrieve(Nearest(), ASKED)
        stub.gate.clear()
        before = len(stub.received)
        threads = [threading.Thread(target=executor.retrieve, args=(Nearest(), ASKED), daemon=True) for _ in range(9)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(stub.received) - before == 4)
        [coalescer] = executor._coalescer_of.values()
        wait_until(lambda: len(coalescer._waiting) == 5)
        assert forked(lambda: executor.retrieve(Nearest(), ASKED, SearchOptions(AT_ONCE, timeout=PATIENCE))) == 0
        stub.gate.set()
        for thread in threads:
            thread.join(PATIENCE)

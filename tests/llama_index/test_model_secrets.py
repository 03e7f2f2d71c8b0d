"""No key of a model leaves the retriever or postprocessor: by repr, dump, pickle, error, log, event or callback."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation import get_dispatcher

from llama_index_qdrant_rerank import RerankerPostprocessor
from qdrant_rerank.models import CohereReranker
from tests.llama_index.test_model_postprocessor import nodes
from tests.llama_index.test_rescore import Lengths, retriever
from tests.models.stub_cohere import Refuse, StubCohere

SECRET = "sk-SECRET-of-the-model"


class Careless(Lengths):
    """A model that shows its key."""

    api_key = SECRET

    def __repr__(self) -> str:
        return f"Careless({SECRET})"


@pytest.fixture
def stub() -> Iterator[StubCohere]:
    with StubCohere() as running:
        yield running


@pytest.fixture
def reranker(stub: StubCohere) -> Iterator[CohereReranker]:
    model = CohereReranker(api_key=SECRET, base_url=stub.url, attempts=1)
    yield model
    model.close()


@pytest.mark.parametrize("careless", [False, True])
def test_what_holds_a_model_shows_its_class_alone(reranker: CohereReranker, careless: bool) -> None:
    model = Careless() if careless else reranker
    postprocessor = RerankerPostprocessor(reranker=model)
    of = retriever(reranker=model)
    for text in (
        *(repr(each) + str(each) + f"{each:}" + str([each]) for each in (postprocessor, of)),
        repr(postprocessor.model_dump()),
        repr(postprocessor.to_dict()),
        postprocessor.model_dump_json(),
        postprocessor.to_json(),
    ):
        assert SECRET not in text
    assert type(model).__name__ in repr(postprocessor)


def test_a_pickled_postprocessor_has_no_key(reranker: CohereReranker) -> None:
    pickled = pickle.dumps(RerankerPostprocessor(reranker=reranker, top_n=3))
    assert SECRET.encode() not in pickled
    again = pickle.loads(pickled)
    assert (again.top_n, again.reranker) == (3, reranker)


def test_a_retriever_can_not_be_pickled_or_has_no_key(reranker: CohereReranker) -> None:
    try:
        pickled = pickle.dumps(retriever(reranker=reranker))
    except Exception as error:  # the client holds locks
        pickled = repr(error).encode()
    assert SECRET.encode() not in pickled


def test_an_error_has_no_key(stub: StubCohere, reranker: CohereReranker) -> None:
    asks: list[Callable[[], Any]] = [
        lambda: retriever(reranker=reranker).retrieve("quick fox"),
        lambda: RerankerPostprocessor(reranker=reranker).postprocess_nodes(nodes(), query_str="quick fox"),
    ]
    for ask in asks:
        stub.script.append(Refuse(401, f"invalid key {SECRET}"))
        with pytest.raises(Exception, match="status_code: 401") as caught:
            ask()
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in f"{error} {error!r} {getattr(error, '__notes__', '')}"
            error = error.__cause__ or error.__context__


async def test_neither_events_nor_callbacks_nor_logs_have_it(
    stub: StubCohere, reranker: CohereReranker, caplog: pytest.LogCaptureFixture
) -> None:
    class Recorder(BaseEventHandler):
        seen: ClassVar[list[Any]] = []

        def handle(self, event: Any, **_: Any) -> None:
            self.seen.append(event)

    caplog.set_level(logging.DEBUG)
    recorder, debug, dispatcher = Recorder(), LlamaDebugHandler(print_trace_on_end=False), get_dispatcher()
    dispatcher.add_event_handler(recorder)
    try:
        manager = CallbackManager([debug])
        postprocessor = RerankerPostprocessor(reranker=reranker, callback_manager=manager)
        postprocessor.postprocess_nodes(nodes(), query_str="quick fox")
        await postprocessor.apostprocess_nodes(nodes(), query_str="quick fox")
        await retriever(reranker=reranker, callback_manager=manager).aretrieve("quick fox")
        await reranker.aclose()
    finally:
        dispatcher.event_handlers.remove(recorder)
    assert {request.headers["authorization"] for request in stub.requests} == {f"Bearer {SECRET}"}
    told = [repr(event) for event in recorder.seen] + [repr(vars(event)) for pair in debug.get_event_pairs() for event in pair]
    logged = [record.getMessage() + repr(record.args) for record in caplog.records]
    assert "rerank-v3.5" in str(told)
    assert logged
    assert SECRET not in str(told) + str(logged)

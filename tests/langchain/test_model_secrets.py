"""No key of a model leaves the retriever or compressor: by repr, dump, pickle, error, log or trace."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.load import dumps
from langchain_core.tracers.schemas import Run
from pydantic import ValidationError

from langchain_qdrant_rerank import QdrantRerankCompressor, QdrantRerankRetriever
from qdrant_rerank import Nearest, PlanWarning, Rerank
from qdrant_rerank.models import CohereReranker
from tests.langchain.models import Tracer
from tests.langchain.support import make
from tests.models.stub_cohere import Refuse, StubCohere

SECRET = "sk-SECRET-of-the-model"
STRATEGY = Rerank(reads=5).over(Nearest("dense"))


class Careless:
    """A model that shows its key."""

    fingerprint = "careless"

    def __init__(self) -> None:
        self.api_key = SECRET

    def __repr__(self) -> str:
        return f"Careless({SECRET})"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return [float(len(text)) for text in texts]


@pytest.fixture
def stub() -> Iterator[StubCohere]:
    with StubCohere() as running:
        yield running


@pytest.fixture
def reranker(stub: StubCohere) -> Iterator[CohereReranker]:
    model = CohereReranker(api_key=SECRET, base_url=stub.url, attempts=1)
    yield model
    model.close()


def holders(model: Any) -> list[Any]:
    """What may hold a model."""
    compressor = QdrantRerankCompressor(reranker=model)
    retriever = make(strategy=STRATEGY, reranker=model)
    return [retriever, compressor, ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever)]


@pytest.mark.parametrize("careless", [False, True])
def test_what_holds_a_model_shows_its_class_alone(reranker: CohereReranker, careless: bool) -> None:
    model = Careless() if careless else reranker
    for holder in holders(model):
        shown = [repr(holder), str(holder), f"{holder:}", dumps(holder), repr([holder])]
        if not isinstance(holder, ContextualCompressionRetriever):  # its dump holds its parts as they are
            shown += [repr(holder.model_dump()), holder.model_dump_json()]
        for text in shown:
            assert SECRET not in text
        assert f"reranker={type(model).__name__}" in repr(holder)


def test_the_key_is_used(stub: StubCohere, reranker: CohereReranker) -> None:
    for holder in holders(reranker):
        holder.invoke("quick fox") if hasattr(holder, "invoke") else holder.compress_documents([_document()], "quick fox")
    assert {request.headers["authorization"] for request in stub.requests} == {f"Bearer {SECRET}"}


def test_a_pickled_compressor_has_no_key(reranker: CohereReranker) -> None:
    pickled = pickle.dumps(QdrantRerankCompressor(reranker=reranker, top_n=3))
    assert SECRET.encode() not in pickled
    assert pickle.loads(pickled).reranker.model == "rerank-v3.5"


def test_a_retriever_can_not_be_pickled_or_has_no_key(reranker: CohereReranker) -> None:
    try:
        pickled = pickle.dumps(make(reranker=reranker))
    except Exception as error:  # the client holds locks
        pickled = repr(error).encode()
    assert SECRET.encode() not in pickled


@pytest.mark.parametrize("fault", [Refuse(401, f"invalid key {SECRET}"), Refuse(500, SECRET)])
def test_an_error_has_no_key(stub: StubCohere, reranker: CohereReranker, fault: Refuse) -> None:
    for holder in holders(reranker):
        stub.script.append(fault)
        with pytest.raises(Exception, match="status_code") as caught:
            holder.invoke("quick fox") if hasattr(holder, "invoke") else holder.compress_documents([_document()], "quick fox")
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in f"{error} {error!r} {getattr(error, '__notes__', '')}"
            error = error.__cause__ or error.__context__


def test_a_warning_has_no_key(stub: StubCohere, reranker: CohereReranker) -> None:
    stub.script.append(Refuse(401, f"invalid key {SECRET}"))
    with pytest.warns(PlanWarning) as caught:
        make(strategy=Rerank(reads=5, on_error="keep_order").over(Nearest("dense")), reranker=reranker).invoke("quick fox")
    assert SECRET not in str([each.message for each in caught])


@pytest.mark.parametrize(
    "wrong", [{"reranker": SECRET}, {"reranker": Careless(), "api_key": SECRET}, {"reranker": Careless(), "k": 0}]
)
def test_an_error_of_the_constructor_has_no_key(wrong: dict[str, Any]) -> None:
    for made in (make, QdrantRerankCompressor):
        with pytest.raises(ValidationError) as caught:
            made(**wrong)
        assert SECRET not in str(caught.value)


async def test_neither_traces_nor_logs_have_it(reranker: CohereReranker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tracer = Tracer()
    config: Any = {"callbacks": [tracer]}
    *_, compressing = holders(reranker)
    retriever: QdrantRerankRetriever = compressing.base_retriever
    compressing.invoke("quick fox", config)
    await compressing.ainvoke("quick fox", config)
    retriever.search_batch(["quick fox"], config)
    await retriever.asearch_batch(["quick fox"], config)
    await reranker.aclose()
    assert len(tracer.runs) == 4
    for run in tracer.runs:
        assert SECRET not in _told(run)
    logged = [record.getMessage() + repr(record.args) for record in caplog.records]
    assert logged
    assert SECRET not in str(logged)


def _told(run: Run) -> str:
    return repr(run.model_dump(exclude={"child_runs"})) + "".join(map(_told, run.child_runs))


def _document() -> Any:
    from langchain_core.documents import Document

    return Document("a fox")

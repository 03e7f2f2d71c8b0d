"""A retriever makes its requests again where it is told to, and shows what the server says."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from qdrant_client.http.exceptions import UnexpectedResponse

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Nearest, Retries
from tests.langchain.support import QUERY, WordEmbeddings
from tests.stub_qdrant import Received, StubQdrant, collection

POINTS = [{"id": 3, "score": 0.9, "payload": {"page_content": "first"}}]


class Busy(StubQdrant):
    """Refuses the first searches, as a server does that starts."""

    refusals = 0

    def answer(self, request: Received) -> tuple[int, Any]:
        if "/points/query" in request.path and self.refusals:
            self.refusals -= 1
            return 503, {"status": {"error": "Service is starting"}, "time": 0.0}
        return super().answer(request)


def over(stub: StubQdrant, **settings: Any) -> QdrantRerankRetriever:
    made = QdrantRerankRetriever.from_existing_collection(
        "docs", url=stub.url, embedding=WordEmbeddings(), strategy=Nearest("dense"), **settings
    )
    assert isinstance(made, QdrantRerankRetriever)
    return made


async def test_requests_are_made_again_where_the_retriever_is_told_to() -> None:
    pauses: list[float] = []

    async def later(seconds: float) -> None:
        pauses.append(seconds)

    policy = Retries(2, sleep=pauses.append, asleep=later)
    with Busy(POINTS, {"docs": collection({"dense": 4})}) as stub:
        retriever = over(stub, retries=policy)
        stub.refusals = 2
        assert [document.page_content for document in retriever.invoke(QUERY)] == ["first"]
        stub.refusals = 2
        assert [document.page_content for document in await retriever.ainvoke(QUERY)] == ["first"]
        assert len(pauses) == 4
        stub.refusals = 1
        with pytest.raises(UnexpectedResponse) as caught:
            over(stub).invoke(QUERY)
        assert caught.value.__notes__[0].startswith(f"while searching 'docs' at {stub.url}\n")
        retriever.client.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("retries", [-1, "3", 1.5, None])
def test_odd_numbers_of_retries_are_refused(retries: Any) -> None:
    with Busy() as stub, pytest.raises(ValidationError, match="retries must be a whole number of at least 0"):
        over(stub, retries=retries)

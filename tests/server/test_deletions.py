"""Points and collections that change between a strategy's rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from qdrant_rerank import Executor, Nearest, Query, Rerank, SearchOptions
from tests.engines import open_client
from tests.feedback.support import PRECISION, Numbers
from tests.support import COLLECTION, QUERY, encoders, fill_toy


@pytest.mark.parametrize("native", [True, False])
def test_a_seed_that_is_deleted_after_it_was_read_ends_no_query(native: bool) -> None:
    client = fill_toy(open_client())

    class Deleting(Numbers):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            client.delete(
                COLLECTION, [found.id for found in executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(1))]
            )
            return super().score(query, texts)

    executor = Executor(client, COLLECTION, encoders=encoders(), reranker=Deleting())
    found = executor.retrieve(replace(PRECISION, native=native), Query(QUERY), SearchOptions(5))
    assert len(found) == 5


def test_points_that_are_deleted_while_a_model_reads_are_in_the_answer_that_was_found() -> None:
    client = fill_toy(open_client())

    def read_and_delete(query: str, texts: Sequence[str]) -> list[float]:
        client.delete(COLLECTION, [1, 2, 3])
        return [float(len(text)) for text in texts]

    executor = Executor(client, COLLECTION, encoders=encoders(), reranker=read_and_delete)
    assert len(executor.retrieve(Rerank(reads=24).over(Nearest("dense")), Query(QUERY), SearchOptions(24))) == 24
    assert client.count(COLLECTION).count == 21

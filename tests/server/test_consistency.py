"""Read consistency of every form, over REST and gRPC, for each kind of request."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Nearest, Query, SearchOptions
from tests.support import COLLECTION, QUERY, encoders, ids

FORMS: list[Any] = [1, 2, *models.ReadConsistencyType, "majority", "quorum", "all"]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("group_by", [None, "doc"])
async def test_each_form_of_consistency_is_taken(
    toy: QdrantClient, executor: Executor, form: Any, group_by: str | None
) -> None:
    options = SearchOptions(5, consistency=form, group_by=group_by)
    expected = ids(executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(5, group_by=group_by)))
    assert ids(executor.retrieve(Nearest("dense"), Query(QUERY), options)) == expected
    assert [ids(found) for found in executor.retrieve_batch(Nearest("dense"), [Query(QUERY)] * 2, options)] == [expected] * 2
    asynchronous = AsyncExecutor(toy, COLLECTION, encoders=encoders())
    assert ids(await asynchronous.retrieve(Nearest("dense"), Query(QUERY), options)) == expected

"""What both adapters share: executors that are kept by what they are made of."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, PayloadMapping, SearchOptions
from qdrant_rerank._internals import Executors, check_options
from qdrant_rerank.errors import ClientError, QueryError
from qdrant_rerank.models import Encoders
from tests.support import dense

CLIENT = QdrantClient(":memory:")
NEWS: Any = {"must": [{"key": "category", "match": {"value": "news"}}]}


def make(kind: Any) -> Any:
    return kind(CLIENT, "docs")


def test_an_executor_is_made_once_for_each_kind_and_the_oldest_is_let_go_of() -> None:
    kept = Executors()
    first = kept.get(Executor, (CLIENT, 0), make)
    assert kept.get(Executor, (CLIENT, 0), make) is first
    assert isinstance(kept.get(AsyncExecutor, (CLIENT, 0), make), AsyncExecutor)
    for number in range(1, 32):
        kept.get(Executor, (CLIENT, number), make)
    assert kept.get(Executor, (CLIENT, 0), make) is not first


@pytest.mark.parametrize(
    ("part", "equal", "other"),
    [
        ("docs", "docs", "dogs"),
        (PayloadMapping("text"), PayloadMapping("text"), PayloadMapping("body")),
        (models.Filter(**NEWS), models.Filter(**NEWS), models.Filter()),
        ({"dense": dense}, {"dense": dense}, {"bm25": dense}),
        (Encoders.of(dense=dense), Encoders.of(dense=dense), Encoders.of(multi=dense)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_parts_are_told_apart_by_value_where_they_have_no_state(part: Any, equal: Any, other: Any) -> None:
    kept = Executors()
    first = kept.get(Executor, [part], make)
    if not isinstance(part, Encoders):  # each makes an encoder of the function
        assert kept.get(Executor, [equal], make) is first
    assert kept.get(Executor, [part], make) is first
    assert kept.get(Executor, [other], make) is not first


def test_functions_are_told_apart_by_what_they_are() -> None:
    kept = Executors()
    first = kept.get(Executor, [dense], make)
    assert kept.get(Executor, [dense], make) is first
    assert kept.get(Executor, [lambda text: dense(text)], make) is not first


async def test_nothing_is_made_once_they_are_closed() -> None:
    kept = Executors()
    await kept.aclose()
    with pytest.raises(ClientError, match="this is closed"):
        kept.get(Executor, [], make)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (7, "options must be a qdrant_rerank.SearchOptions, got int 7"),
        (SearchOptions(limit=3), r"limit has an argument of its own: pass k=… instead of options=SearchOptions\(limit=…\)"),
        (SearchOptions(with_vectors=True), "with_vectors has no effect here"),
        (SearchOptions(offset=3), "offset has no effect here"),
        (SearchOptions(group_size=3), "group_size has no effect without group_by"),
        (SearchOptions(search_params=3, consistency=0), "search_params must be .*; consistency must be"),  # type: ignore[arg-type]
    ],
)
def test_options_that_can_not_be_are_refused(options: Any, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        check_options(options, {"limit": "k=…"}, ("offset",))
    fine = SearchOptions(group_by="doc", group_size=3)
    assert check_options(fine, {}) is fine

"""Each message in docs/troubleshooting.md comes, and is of the kind that the page says."""

from __future__ import annotations

import builtins
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

import langchain_qdrant_rerank
import llama_index_qdrant_rerank
import qdrant_rerank.errors
from qdrant_rerank import Executor, Formula, Nearest, Query, Rerank, SearchOptions, field, from_json, param, score
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.models import Bm25, Cached, ScoreCache

from . import worlds
from .blocks import ROOT

TEXT = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
ENTRIES = re.findall(r"^### `([^\n]+)`\n\n(.+?)(?=^##|\Z)", TEXT, re.M | re.S)
_BIKES = Query("bikes")
_GUIDE = worlds.guide()
_DENSE = Nearest("dense")


def _ask(strategy: Any, query: Query = _BIKES, collection: str = "guide", limit: int = 10, **settings: Any) -> Any:
    options = SearchOptions(limit=limit, timeout=settings.pop("timeout", None))
    arguments: dict[str, Any] = {"encoders": _GUIDE["encoders"], **settings}
    return Executor(arguments.pop("client", _GUIDE["client"]), collection, **arguments).retrieve(strategy, query, options)


def _langchain(**call: Any) -> Any:
    return langchain_qdrant_rerank.QdrantRerankRetriever.from_vector_store(worlds.guide_langchain()["store"]).invoke(
        "bikes", **call
    )


def _llama_index(**settings: Any) -> Any:
    return llama_index_qdrant_rerank.QdrantRerankRetriever(client=_GUIDE["client"], collection_name="guide", **settings)


class _Nameless:
    def score(self, query: str, texts: list[str]) -> list[float]:
        return [0.0 for _ in texts]


def _slow(text: str) -> list[float]:
    time.sleep(1)
    return [0.0] * 512


def _open_twice() -> None:
    first, second = EdgeClient("folder"), EdgeClient("folder")
    first.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.COSINE))
    try:
        second.get_collection("docs")
    finally:
        first.close()


def _ask_closed() -> None:
    with Executor(_GUIDE["client"], "guide", encoders=_GUIDE["encoders"]) as executor:
        pass
    executor.retrieve(_DENSE, _BIKES)


def _without_edge() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "qdrant_edge", None)
        Bm25(language="german", avg_len=93.0)


def _wrong_payload() -> None:
    settings: dict[str, Any] = {"client": _GUIDE["client"], "collection_name": "guide", "encoders": _GUIDE["encoders"]}
    langchain_qdrant_rerank.QdrantRerankRetriever(strategy=_DENSE, **settings).invoke("bikes")


PROVOKED: dict[str, Callable[[], Any]] = {
    "no vector named": lambda: _ask(Nearest("colbret")),
    "there is no collection": lambda: _ask(_DENSE, collection="guid"),
    "the formula reads": lambda: _ask(Formula(score() + field("rating")).over(_DENSE)),
    "score() is ambiguous": lambda: _ask(Formula(score()).over(_DENSE, Nearest("bm25"))),
    "no point of": lambda: _ask(Formula(score() + field("ratng", default=0)).over(_DENSE)),
    "no candidate is named": lambda: _ask(Formula(score("bm52")).over(_DENSE, Nearest("bm25"))),
    "the call asks for … points, but the candidates": lambda: _ask(Formula(score()).over(Nearest("dense", limit=5))),
    "… can't be a candidate": lambda: Nearest("dense").over(Rerank(reads=5).over(_DENSE)),  # type: ignore[arg-type]
    "the call asks for … points, but Rerank": lambda: _ask(Rerank(reads=5).over(_DENSE), reranker=worlds.shared_words),
    "unknown kind of strategy": lambda: from_json('{"kind": "nearst"}'),
    "nothing to embed": lambda: _ask(_DENSE, encoders=None),
    "the vector '…' has": lambda: _ask(_DENSE, Query(vectors={"dense": [1.0, 2.0]})),
    "the query's text is empty": lambda: _ask(_DENSE, Query("")),
    "the formula needs": lambda: _ask(Formula(score() + param("budget")).over(_DENSE)),
    "filter must be": lambda: _langchain(filter={"category": "stay"}),
    "a call has no option": lambda: _langchain(top_k=3),
    "the call's timeout": lambda: _ask(_DENSE, encoders={"dense": _slow}, timeout=0.05),
    "this strategy needs a reranker": lambda: _ask(Rerank(reads=10).over(_DENSE)),
    "the reranker would": lambda: _llama_index(reranker=worlds.shared_words),
    "… has score,": lambda: _ask(_DENSE, reranker=_Nameless()),
    "scores of … can't be kept": lambda: Cached(lambda query, texts: [1.0], ScoreCache()),
    "the model returned": lambda: _ask(Rerank(reads=10).over(_DENSE), reranker=lambda query, texts: [1.0]),
    "none of the": _wrong_payload,
    "… needs an": _without_edge,
    "Connection refused": lambda: _ask(_DENSE, client=QdrantClient("http://127.0.0.1:9", check_compatibility=False)),
    "opening … failed": _open_twice,
    "this is closed": _ask_closed,
    "from_vector_store takes": lambda: langchain_qdrant_rerank.QdrantRerankRetriever.from_vector_store(object()),
}


@pytest.mark.parametrize(("message", "text"), ENTRIES, ids=[message[:40] for message, _ in ENTRIES])
def test_the_message_comes(message: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [provoke] = [provoke for start, provoke in PROVOKED.items() if message.startswith(start)]
    pattern = ".*".join(map(re.escape, message.split("…")))
    with pytest.raises(Exception, match=pattern) as caught:
        provoke()
    kind = re.match(r"An? `(\w+)`", text)
    if kind is not None:
        expected = getattr(qdrant_rerank.errors, kind[1], None) or getattr(builtins, kind[1])
        assert isinstance(caught.value, expected)
    else:
        assert f"`{type(caught.value).__name__}`" in text


def test_each_entry_is_provoked_once() -> None:
    assert len(ENTRIES) == len(PROVOKED) > 20

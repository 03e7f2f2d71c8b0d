"""Models by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from qdrant_rerank import StrategyError
from qdrant_rerank.models import (
    Bm25,
    CohereEncoder,
    CohereReranker,
    FastembedCrossEncoder,
    FastembedDense,
    FastembedLate,
    FastembedSparse,
    HashedNgrams,
    ServerInference,
    encoder,
    reranker,
)

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
COLBERT = "answerdotai/answerai-colbert-small-v1"
BM42 = "Qdrant/bm42-all-minilm-l6-v2-attentions"


def test_a_name_makes_the_reranker_that_it_says(tmp_path: Path) -> None:
    assert reranker("cohere:rerank-v3.5", timeout=5.0) == CohereReranker("rerank-v3.5", timeout=5.0)
    assert (
        reranker("minilm") == reranker("fastembed:Xenova/ms-marco-MiniLM-L-6-v2") == reranker("Xenova/ms-marco-MiniLM-L-6-v2")
    )
    assert reranker("a/b") == FastembedCrossEncoder("a/b")
    assert reranker(f"fastembed:a/b@{tmp_path}", batch_size=1) == FastembedCrossEncoder("a/b", path=tmp_path, batch_size=1)
    assert reranker(f"cross-encoder:{tmp_path}") == FastembedCrossEncoder(tmp_path.name, path=tmp_path)


@pytest.mark.parametrize("name", ["rerank-v3.5", "cohere:", "cross-encoder:", "cohre:a/b", "fastembed:b"])
def test_another_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(StrategyError, match=f"{name}: no such model.*; there are cohere:rerank-v3.5, "):
        reranker(name)


def test_a_misspelt_source_is_guessed_and_a_folder_must_be_there() -> None:
    with pytest.raises(StrategyError, match="did you mean 'cohere'"):
        reranker("coher:rerank-v3.5")
    for name in ("cross-encoder:nowhere", "a/b@nowhere"):
        with pytest.raises(StrategyError, match=f"^{name}: there is no folder 'nowhere'$"):
            reranker(name)
    with pytest.raises(StrategyError, match="there is no folder 'nowhere'"):
        encoder("a/b@nowhere")


def test_a_name_makes_the_encoder_that_it_says(tmp_path: Path) -> None:
    assert encoder("hash") == HashedNgrams()
    assert encoder("bm25", language="german") == Bm25(language="german")
    assert encoder("cohere:embed-v4.0", output_dimension=512) == CohereEncoder("embed-v4.0", output_dimension=512)
    assert encoder("minilm") == encoder(MINILM) == encoder(f"fastembed:{MINILM}", "dense") == FastembedDense(MINILM)
    assert encoder("bm42") == encoder(BM42) == FastembedSparse(BM42)
    assert encoder("colbert", threads=1) == encoder(COLBERT, threads=1) == FastembedLate(COLBERT, threads=1)
    assert encoder(f"own@{tmp_path}") == FastembedDense("own", path=str(tmp_path))
    assert encoder(f"own@{tmp_path}", "multi") == FastembedLate("own", path=str(tmp_path))


def test_a_server_is_told_what_its_model_makes() -> None:
    assert encoder("server:a/b:384") == ServerInference("a/b", kind="dense", size=384)
    assert encoder("server:qdrant/bm25", "sparse") == ServerInference("qdrant/bm25", kind="sparse", idf=True)
    assert encoder("server:a/splade", "sparse") == ServerInference("a/splade", kind="sparse", idf=False)
    assert encoder("server:a/b:tag", "multi") == ServerInference("a/b:tag", kind="multi")


@pytest.mark.parametrize(
    ("name", "kind"), [("hsh", None), ("bm25", "dense"), ("minilm", "multi"), ("cohere:x", "sparse"), ("server:", None)]
)
def test_an_encoder_that_there_is_not_is_refused(name: str, kind: None) -> None:
    with pytest.raises(StrategyError, match=rf"{name}: no such model.*\(there are .*fastembed's models"):
        encoder(name, kind)


def test_a_misspelt_encoder_is_guessed() -> None:
    with pytest.raises(StrategyError, match="did you mean 'hash'"):
        encoder("hsh")

"""Models by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from qdrant_rerank import StrategyError
from qdrant_rerank._internals import identify
from qdrant_rerank.models import (
    Bm25,
    Cached,
    CohereEncoder,
    CohereReranker,
    FastembedCrossEncoder,
    FastembedDense,
    FastembedLate,
    FastembedSparse,
    HashedNgrams,
    ScoreCache,
    ServerInference,
    encoder,
    reranker,
)
from tests.support import refused

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


def test_a_name_in_ones_own_code_makes_the_model_that_it_says() -> None:
    here = "python:tests.models.test_names"
    assert encoder(f"{here}:OWN") is OWN  # an object
    assert encoder(f"{here}:HashedNgrams", size=64) == HashedNgrams(size=64)  # a class
    assert encoder(f"{here}:make_own") == HashedNgrams(size=32)  # what makes one
    assert encoder(f"{here}:OWN.encode_query").encode_query("a b") == OWN.encode_query("a b")  # a function of a text
    assert identify(encoder(f"{here}:embed_own")) == "FunctionEncoder(function=tests.models.test_names.embed_own)"
    assert reranker(f"{here}:score_own").fingerprint == "function:tests.models.test_names.score_own"
    assert list(reranker(f"{here}:score_own").score("a", ["a", "b"])) == [1.0, 0.0]
    Cached(reranker(f"{here}:score_own"), ScoreCache())
    with refused(StrategyError, "can't be kept"):
        Cached(reranker(f"{here}:NAMELESS"), ScoreCache())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("python:", "write python:MODULE:NAME"),
        ("python:a", "write python:MODULE:NAME"),
        ("python:.a:b", "write python:MODULE:NAME"),
        ("python:no_such_package.below:b", "there is no module 'no_such_package'"),
        ("python:tests.no_such_module:b", "there is no module 'tests.no_such_module'"),
        ("python:tests.models.test_names:make_ownn", "test_names.py has no 'make_ownn': did you mean 'make_own'"),
        ("python:tests.models.test_names:OWN.nothing", "HashedNgrams has no 'nothing'"),
        ("python:tests.models.test_names:MINILM", "neither"),
        ("python:tests.models.test_names:ServerInference", "can't be called so: missing a required argument: 'model'"),
    ],
)
def test_what_is_no_name_of_ones_own_model_is_refused(name: str, says: str) -> None:
    for load, what in ((encoder, "not an encoder"), (reranker, "not a reranker")):
        with refused(StrategyError, f"{name}", what if says == "neither" else says):
            load(name)


def test_settings_go_to_what_takes_them() -> None:
    with refused(StrategyError, "embed_own can't be called so"):
        encoder("python:tests.models.test_names:embed_own", batch_size=8)


def test_a_module_that_ones_own_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_that_lacks.py").write_text("import no_such_package", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        encoder("python:own_that_lacks:embed")


OWN = HashedNgrams(size=16)


def make_own() -> HashedNgrams:
    return HashedNgrams(size=32)


def embed_own(text: str) -> list[float]:
    return OWN.encode_query(text)


def score_own(query: str, texts: Sequence[str]) -> list[float]:
    return [float(text == query) for text in texts]


NAMELESS = partial(lambda query, texts: [1.0 for _ in texts])

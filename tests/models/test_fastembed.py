from __future__ import annotations

import copy
import os
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import StrategyError
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.models import Encoder, FastembedDense, FastembedLate, FastembedSparse
from tests.models import tiny_models


def unit(vector: Any) -> Any:
    return np.asarray(vector) / np.linalg.norm(vector)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.onnx_folder(tmp_path_factory.mktemp("own") / "model")


def test_a_model_of_ones_own_is_run_from_its_folder_with_mean_pooling_and_length_1(own: Path) -> None:
    encoder = FastembedDense("me/tiny", path=own)

    [vector] = encoder.encode_documents(["boat train"])

    expected = unit(np.mean([tiny_models.row("boat"), tiny_models.row("train")], axis=0))
    assert vector == pytest.approx(expected, abs=1e-6)
    assert encoder.encode_query("boat train") == pytest.approx(expected, abs=1e-6)


def test_pooling_and_normalisation_of_two_encoders_with_one_name_are_kept_apart(own: Path) -> None:
    mean = FastembedDense("me/tiny", path=own, normalize=False)
    first = FastembedDense("me/tiny", path=own, normalize=False, pooling="cls")

    assert mean.encode_query("boat train") == pytest.approx(
        np.mean([tiny_models.row("boat"), tiny_models.row("train")], axis=0), abs=1e-6
    )
    assert first.encode_query("boat train") == pytest.approx(tiny_models.row("boat"), abs=1e-6)


def test_texts_are_cut_after_max_length_tokens(own: Path) -> None:
    encoder = FastembedDense("me/tiny", path=own, max_length=1)

    assert encoder.encode_query("boat train hut") == pytest.approx(unit(tiny_models.row("boat")), abs=1e-6)


def test_a_model_in_a_folder_under_a_name_that_fastembed_knows_has_the_size_of_its_files_not_of_the_name(
    tmp_path: Path,
) -> None:
    encoder = FastembedDense(path=tiny_models.onnx_folder(tmp_path / "bge", "model_optimized.onnx"), pooling="mean")

    assert encoder.size == 4  # fastembed would say 384
    first = unit(tiny_models.row("hut"))  # that name's pooling, not the one given, which is for models of one's own
    assert encoder.encode_documents(["hut boat"])[0] == pytest.approx(first, abs=1e-6)


def test_the_size_of_a_model_that_is_not_loaded_is_what_fastembed_says() -> None:
    assert FastembedDense().size == 384
    assert FastembedLate().size == 96


def test_vectors_are_plain_python_floats_in_the_order_of_the_texts(own: Path) -> None:
    encoder = FastembedDense("me/tiny", path=own, batch_size=2)

    vectors = encoder.encode_documents(["boat", "hut", "train"])

    assert [type(number) for vector in vectors for number in vector] == [float] * 12
    for word, vector in zip(("boat", "hut", "train"), vectors, strict=True):
        assert vector == pytest.approx(unit(tiny_models.row(word)), abs=1e-6)


def test_late_interaction_gives_a_vector_for_each_token(tmp_path: Path) -> None:
    encoder = FastembedLate(path=tiny_models.onnx_folder(tmp_path / "late", "vespa_colbert.onnx"))

    [document] = encoder.encode_documents(["boat hut"])
    query = encoder.encode_query("boat hut")

    marker = "[unused1]"  # the model puts it behind the first token of a document
    assert np.array(document) == pytest.approx(
        np.array([unit(tiny_models.row(word)) for word in ("boat", marker, "hut")]), abs=1e-6
    )
    assert (len(query), len(query[0]), type(query[0][0])) == (32, 4, float)
    assert encoder.size == 4


def test_sparse_vectors_are_qdrants_own_and_options_reach_the_model(tmp_path: Path) -> None:
    folder = tiny_models.bm25_folder(tmp_path / "bm25", ["the"])
    encoder = FastembedSparse(path=folder, options={"k": 2.0, "b": 0.5, "avg_len": 4.0})

    [vector] = encoder.encode_documents(["the ferry ferry hut"])
    query = encoder.encode_query("ferry")

    assert isinstance(vector, models.SparseVector)
    assert isinstance(query, models.SparseVector)
    weights = dict(zip(vector.indices, vector.values, strict=True))
    assert query.values == [1.0]
    assert weights[query.indices[0]] == pytest.approx(2 * 3 / (2 + 2 * (0.5 + 0.5 * 3 / 4)))
    assert len(weights) == 2


def test_fastembed_says_which_sparse_models_need_idf() -> None:
    assert FastembedSparse().idf is True
    assert FastembedSparse("prithivida/Splade_PP_en_v1").idf is False


@pytest.mark.parametrize(
    ("encoder", "kind"), [(FastembedDense(), "dense"), (FastembedSparse(), "sparse"), (FastembedLate(), "multi")]
)
def test_each_says_its_kind_and_is_an_encoder(encoder: Encoder, kind: str) -> None:
    assert isinstance(encoder, Encoder)
    assert getattr(encoder, "kind", None) == kind


def test_many_threads_load_the_model_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastembed import TextEmbedding

    loads: list[str] = []
    load = TextEmbedding.__init__

    def counted(self: TextEmbedding, model_name: str, **arguments: Any) -> None:
        loads.append(model_name)
        time.sleep(0.05)  # the others arrive meanwhile
        load(self, model_name, **arguments)

    monkeypatch.setattr(TextEmbedding, "__init__", counted)
    encoder = FastembedDense("me/tiny", path=own)
    assert loads == []
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(encoder.encode_query, ["boat"] * 8))

    assert len(loads) == 1
    assert vectors == [vectors[0]] * 8


def test_a_loaded_encoder_pickles_copies_and_shows_only_its_settings(own: Path) -> None:
    encoder = FastembedDense("me/tiny", path=str(own), batch_size=8)
    vector = encoder.encode_query("boat")

    for twin in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder), eval(repr(encoder))):
        assert twin == encoder
        assert hash(twin) == hash(encoder)
        assert twin.encode_query("boat") == vector
    assert "Once" not in repr(encoder)


def test_an_unknown_model_is_refused_with_what_there_is() -> None:
    with pytest.raises(StrategyError) as dense:
        FastembedDense("BAAI/bge-smal-en-v1.5").encode_query("boat")
    with pytest.raises(StrategyError) as sparse:
        _ = FastembedSparse("zzz").idf

    assert "fastembed has no model 'BAAI/bge-smal-en-v1.5' for FastembedDense" in str(dense.value)
    assert "a model of your own needs path=" in str(dense.value)
    assert "did you mean 'BAAI/bge-small-en-v1.5'?" in str(dense.value)
    assert "it has" in str(sparse.value)
    assert "Qdrant/bm25" in str(sparse.value)


def test_a_path_that_is_no_folder_is_refused_before_fastembed_fails_on_it(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"path='.*gone' is no folder: it must hold the files of 'me/tiny'"):
        FastembedDense("me/tiny", path=tmp_path / "gone").encode_query("boat")


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(StrategyError, match="the batch_size of FastembedSparse must be a whole number of at least 1, got 0"):
        FastembedSparse(batch_size=0)
    with pytest.raises(StrategyError, match="the threads of FastembedLate must be"):
        FastembedLate(threads=-1)
    with pytest.raises(StrategyError, match="the max_length of FastembedDense must be"):
        FastembedDense(max_length=0)
    with pytest.raises(StrategyError, match="pooling is one of mean, cls, last_token, disabled; got 'max'"):
        FastembedDense(pooling="max")  # type: ignore[arg-type]


def test_without_fastembed_the_extra_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)

    with pytest.raises(MissingExtra, match=r"FastembedDense needs .* pip install 'qdrant-rerank\[fastembed\]'"):
        FastembedDense()


def test_threads_are_passed_on(own: Path) -> None:
    encoder = FastembedDense("me/tiny", path=own, threads=1)

    assert encoder.encode_query("hut") == pytest.approx(unit(tiny_models.row("hut")), abs=1e-6)


def test_documents_are_read_several_batches_at_a_time_and_stay_what_they_are(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastembed import TextEmbedding

    embed, barrier = TextEmbedding.embed, threading.Barrier(2)
    alone = FastembedDense("me/tiny", path=own, batch_size=1)
    texts = ["hut", "boat lake", "lake lake hut", "boat"]

    def meeting(self: TextEmbedding, texts: Any, **options: Any) -> Any:
        barrier.wait(30)  # of two that are under way
        return embed(self, texts, **options)

    expected = alone.encode_documents(texts)
    monkeypatch.setattr(TextEmbedding, "embed", meeting)
    assert replace(alone, parallel=2).encode_documents(texts) == expected

    def failing(self: TextEmbedding, texts: Any, **options: Any) -> Any:
        read.append(texts)
        time.sleep(0.01)  # as long as it takes to notice, on a busy machine too
        raise RuntimeError("no memory")

    read: list[Any] = []
    monkeypatch.setattr(TextEmbedding, "embed", failing)
    with pytest.raises(RuntimeError, match="no memory"):
        replace(alone, parallel=2).encode_documents([f"boat {number}" for number in range(500)])
    assert len(read) < 400


@pytest.mark.parametrize(("cores", "threads", "parallel"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (7, 2, 4), (32, 8, 4)])
def test_many_documents_are_read_by_batches_that_share_the_processor(
    own: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, parallel: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    found = FastembedDense("me/tiny", path=own).for_documents()
    assert (found.threads, found.parallel) == (threads, parallel)
    for decided in (
        FastembedDense("me/tiny", path=own, threads=3),
        FastembedDense("me/tiny", path=own, parallel=3),
        FastembedDense("me/tiny", path=own, options={"lazy_load": True}),
        FastembedDense("me/tiny", path=own, options={"providers": ["CPUExecutionProvider"]}),
        FastembedSparse(),  # words are counted, which no threads share
    ):
        assert decided.for_documents() is decided


def test_texts_of_similar_length_are_read_together_and_at_most_512_tokens_with_the_padding(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastembed import TextEmbedding

    read: list[list[str]] = []
    embed = TextEmbedding.embed

    def noting(self: TextEmbedding, texts: Any, **options: Any) -> Any:
        read.append([*texts])
        assert options["batch_size"] == len(read[-1])
        return embed(self, texts, **options)

    monkeypatch.setattr(TextEmbedding, "embed", noting)
    words = [16, 300, 1, *[16] * 39, *[1] * 8]  # the model cuts texts after 16 tokens
    texts = [" ".join(["boat"] * count) for count in words]

    vectors = FastembedDense("me/tiny", path=own, batch_size=64).encode_documents(texts)

    assert [[text.count("boat") for text in batch] for batch in read] == [[*[1] * 9, 16, 300, *[16] * 21], [16] * 18]
    assert vectors == [pytest.approx(unit(tiny_models.row("boat")), abs=1e-6)] * len(texts)
    read.clear()
    assert FastembedDense("me/tiny", path=own, batch_size=20).encode_documents(texts) == vectors
    assert [len(batch) for batch in read] == [20, 20, 10]
    read.clear()
    elsewhere = FastembedDense("me/tiny", path=own, batch_size=64, options={"providers": ["CPUExecutionProvider"]})
    assert elsewhere.encode_documents(texts) == vectors
    assert [len(batch) for batch in read] == [50]
    assert FastembedDense("me/tiny", path=own).encode_documents([]) == []

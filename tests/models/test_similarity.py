from __future__ import annotations

import asyncio
import pickle
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import ScoringError, ServerInference, StrategyError
from qdrant_rerank._internals import AsyncReranker, identify
from qdrant_rerank.models import Bm25, EncoderSimilarity, FastembedDense, FastembedLate, HashedNgrams, MaxSim
from tests.models import tiny_models


class Table:
    """An encoder that looks vectors up; queries and documents have tables of their own."""

    def __init__(self, queries: dict[str, Any], documents: dict[str, Any]) -> None:
        self.queries, self.documents = queries, documents

    def encode_query(self, text: str) -> Any:
        return self.queries[text]

    def encode_documents(self, texts: Sequence[str]) -> list[Any]:
        return [self.documents[text] for text in texts]


DENSE = Table({"q": [1.0, 1.0]}, {"same": [3.0, 3.0], "right angle": [1.0, -1.0], "back": [-2.0, -2.0], "none": [0.0, 0.0]})
LATE = Table(
    {"q": [[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]},
    {
        "both": [[1.0, 0.0], [0.0, 2.0]],
        "one": [[2.0, 0.0], [0.0, 0.0]],
        "back": [[-1.0, -1.0], [0.0, 0.0]],
        "none": [[0.0, 0.0]],
    },
)


async def both(model: Any, texts: list[str]) -> list[float]:
    """The scores, the same sync and async."""
    scores: list[float] = model.score("q", texts)
    assert await model.ascore("q", texts) == scores
    return scores


async def test_similarity_is_the_cosine_of_query_and_document_vectors() -> None:
    scores = await both(EncoderSimilarity(DENSE), ["back", "same", "right angle", "none"])

    assert scores == pytest.approx([-1.0, 1.0, 0.0, 0.0])
    assert {type(score) for score in scores} == {float}
    assert await both(EncoderSimilarity(DENSE), []) == []


async def test_maxsim_is_the_mean_over_query_tokens_of_the_greatest_cosine() -> None:
    scores = await both(MaxSim(LATE), ["both", "one", "back", "none"])

    # padding is no token: neither of the query (a mean over 2, not 3) nor of "back" (where 0 would beat -0.7)
    assert scores == pytest.approx([1.0, 0.5, -(0.5**0.5), 0.0])


async def test_maxsim_without_normalising_is_the_sum_of_the_greatest_dot_products() -> None:
    assert await both(MaxSim(LATE, normalize=False), ["both", "one", "back"]) == pytest.approx([3.0 + 2.0, 6.0, -3.0 - 1.0])


def test_many_texts_are_embedded_a_few_at_a_time_and_keep_their_order() -> None:
    class Counting(HashedNgrams):
        def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
            sizes.append(len(texts))
            return super().encode_documents(texts)

    sizes: list[int] = []
    texts = [f"hut number {number}" for number in range(20)]
    scores = EncoderSimilarity(Counting()).score("number 7", texts)

    assert sizes == [8, 8, 4]
    assert scores == pytest.approx([EncoderSimilarity(HashedNgrams()).score("number 7", [text])[0] for text in texts])


async def test_an_encoder_with_async_methods_for_both_sides_is_awaited() -> None:
    class Remote(Table):
        async def aencode_query(self, text: str) -> Any:
            threads.add(threading.current_thread())
            return self.queries[text]

        async def aencode_documents(self, texts: Sequence[str]) -> list[Any]:
            threads.add(threading.current_thread())
            return [self.documents[text] for text in texts]

    threads: set[threading.Thread] = set()
    model = EncoderSimilarity(Remote(DENSE.queries, DENSE.documents))

    assert await model.ascore("q", ["same", "back"]) == pytest.approx([1.0, -1.0])
    assert threads == {threading.current_thread()}
    assert await model.ascore("q", []) == []


async def test_one_scoring_at_a_time_whatever_the_number_of_queries() -> None:
    class Slow(Table):
        now = most = 0

        def encode_query(self, text: str) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            time.sleep(0.01)
            self.now -= 1
            return self.queries[text]

    encoder = Slow(DENSE.queries, DENSE.documents)
    await asyncio.gather(*(EncoderSimilarity.ascore(model, "q", ["same"]) for model in [EncoderSimilarity(encoder)] * 8))

    assert encoder.most == 1


def test_real_models_of_both_kinds_run(tmp_path: Path) -> None:
    dense = FastembedDense("me/tiny", path=tiny_models.onnx_folder(tmp_path / "dense"))
    late = FastembedLate(path=tiny_models.onnx_folder(tmp_path / "late", "vespa_colbert.onnx"))
    cosine = np.dot(*(np.array(tiny_models.row(word)) / np.linalg.norm(tiny_models.row(word)) for word in ("boat", "hut")))

    assert EncoderSimilarity(dense).score("boat", ["boat", "hut"]) == pytest.approx([1.0, cosine], abs=1e-5)
    same, other = MaxSim(late).score("boat", ["boat", "hut"])
    assert 1.0 >= same > other


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EncoderSimilarity(Bm25()), "EncoderSimilarity needs an encoder of dense vectors; Bm25.* makes sparse ones"),
        (lambda: MaxSim(Bm25()), "MaxSim needs an encoder of multi vectors; Bm25.* makes sparse ones"),
        (lambda: EncoderSimilarity(FastembedLate()), "makes multi ones; MaxSim is for these"),
        (lambda: MaxSim(HashedNgrams()), "makes dense ones; EncoderSimilarity is for these"),
        (lambda: MaxSim(ServerInference("colbert")), "ServerInference leaves embedding to the server"),
        (lambda: EncoderSimilarity(DENSE, parallel=0), "the parallel of EncoderSimilarity must be a whole number"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        make()
    with pytest.raises(StrategyError, match="not an encoder: str"):
        EncoderSimilarity("bge")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (EncoderSimilarity(Table({"q": [1.0]}, {"t": [1.0, 2.0]})), "1 numbers for the query, 2 for text 0"),
        (EncoderSimilarity(Table({"q": [[1.0]]}, {"t": [1.0]})), "an array of 2 dimensions for the query"),
        (EncoderSimilarity(Table({"q": [1.0]}, {"t": [float("nan")]})), "nan for text 0"),
        (
            EncoderSimilarity(Table({"q": [1.0]}, {"t": models.SparseVector(indices=[1], values=[1.0])})),
            "returned SparseVector for text 0",
        ),
        (MaxSim(Table({"q": [[1.0]]}, {"t": [1.0]})), "an array of 1 dimensions for text 0"),
    ],
)
async def test_vectors_that_cannot_be_compared_are_an_error(model: Any, message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        model.score("q", ["t"])
    with pytest.raises(ScoringError, match=message):
        await model.ascore("q", ["t"])


def test_a_wrong_number_of_vectors_is_an_error() -> None:
    class Short(Table):
        def encode_documents(self, texts: Sequence[str]) -> list[Any]:
            return [[1.0, 0.0]]

    with pytest.raises(ScoringError, match="returned 1 vectors for 2 texts"):
        EncoderSimilarity(Short({"q": [1.0, 0.0]}, {})).score("q", ["a", "b"])


def test_fingerprints_tell_formulas_and_encoders_apart_by_contents_not_places(tmp_path: Path) -> None:
    first = tiny_models.onnx_folder(tmp_path / "first")
    twin = shutil.copytree(first, tmp_path / "twin")
    names = [
        EncoderSimilarity(FastembedDense("me/tiny", path=first)).fingerprint,
        EncoderSimilarity(FastembedDense("me/tiny", path=first, pooling="cls")).fingerprint,
        EncoderSimilarity(HashedNgrams()).fingerprint,
        EncoderSimilarity(HashedNgrams(size=64)).fingerprint,
        EncoderSimilarity(DENSE, name="mine").fingerprint,
        EncoderSimilarity(_letters).fingerprint,
        MaxSim(LATE, name="mine").fingerprint,
        MaxSim(LATE, name="mine", normalize=False).fingerprint,
    ]
    assert EncoderSimilarity(DENSE).fingerprint is None  # a table, as there may be others

    assert len(set(names)) == len(names)
    assert EncoderSimilarity(FastembedDense("me/tiny", path=twin, threads=1)).fingerprint == names[0]
    assert not [name for name in names if name is None or str(tmp_path) in name or " at 0x" in name]
    assert str(identify(HashedNgrams)).endswith(".HashedNgrams")


def _letters(text: str) -> list[float]:
    return [float(len(text))]


def test_a_similarity_is_a_feedback_model_that_pickles() -> None:
    model = EncoderSimilarity(HashedNgrams(size=64))
    scores = model.score("hut", ["hut", "boat"])

    assert isinstance(model, AsyncReranker)
    assert pickle.loads(pickle.dumps(model)).score("hut", ["hut", "boat"]) == scores
    assert eval(repr(model)) == model

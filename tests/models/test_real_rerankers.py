from __future__ import annotations

import asyncio

import pytest

from qdrant_rerank.models import EncoderSimilarity, FastembedCrossEncoder, FastembedDense, FastembedLate, MaxSim, Reranker
from tests.models.test_real_models import folder

QUERY = "Where can I rent a bike?"
TEXTS = ["Rain is expected at noon", "Bicycles for hire at the station", "The lake is frozen in winter", ""]


def cross_encoder() -> FastembedCrossEncoder:
    return FastembedCrossEncoder("ms-marco-MiniLM-L-12-v2", path=folder("cross-encoder-l12-int8"), max_length=128)


def bge() -> EncoderSimilarity:
    return EncoderSimilarity(FastembedDense("bge-small-en", path=folder("bge-small-int8"), pooling="cls", batch_size=1))


def late() -> MaxSim:
    return MaxSim(FastembedLate(path=folder("late-backbone-int8"), batch_size=1))


@pytest.mark.data
@pytest.mark.parametrize("make", [cross_encoder, bge, late])
def test_real_models_know_that_a_bike_is_a_bicycle(make: type[Reranker]) -> None:
    scores = make().score(QUERY, TEXTS)

    assert max(scores) == scores[1]


@pytest.mark.data
async def test_a_cross_encoders_score_depends_on_no_other_text() -> None:
    model = cross_encoder()
    alone = [(await model.ascore(QUERY, [text]))[0] for text in TEXTS]

    assert await model.ascore(QUERY, TEXTS) == alone
    assert await asyncio.gather(*(model.ascore(QUERY, TEXTS) for _ in range(4))) == [alone] * 4

"""Models' rarer ends: keys that are copied, waits that are dates, errors that repeat the key, scores that are no numbers."""

from __future__ import annotations

import asyncio
import copy
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import ApiKey, Patience, as_reranker, check_scores, retry_after, without_key
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.models import CohereReranker, EncoderSimilarity, FastembedCrossEncoder
from tests.waiting import PATIENCE

KEY = "co-7f3a9b-very-secret"


def test_a_copied_key_is_the_key_itself() -> None:
    key = ApiKey(KEY)
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key


def test_an_sdk_that_is_gone_at_first_use_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    model = CohereReranker(api_key=KEY)
    monkeypatch.setitem(sys.modules, "cohere", None)
    with pytest.raises(MissingExtra, match=r"pip install 'qdrant-rerank\[cohere\]'"):
        model.score("a", ["b"])


async def test_a_timeout_of_the_request_itself_is_not_taken_for_the_end_of_the_budget() -> None:
    patience = Patience(attempts=3, until=time.monotonic() + 60, timeout=1)
    asked = 0

    async def times_out() -> None:
        nonlocal asked
        asked += 1
        raise TimeoutError("of the request's own")

    with pytest.raises(TimeoutError, match=r"^of the request's own$"):
        await patience.asynchronous(times_out)
    assert asked == 1


def test_retry_after_may_be_a_number_or_a_date_and_is_never_below_0() -> None:
    now = datetime.now(UTC)
    assert retry_after({"retry-after": "1.5"}) == 1.5
    in_four_hours = format_datetime(now + timedelta(hours=4), usegmt=True)
    assert retry_after({"Retry-After": in_four_hours}) == pytest.approx(4 * 3600, abs=60)
    assert retry_after({"Retry-After": format_datetime(now - timedelta(days=1))}) == 0.0
    assert retry_after({"Retry-After": "-5"}) == 0.0


def test_a_date_without_a_time_zone_is_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XYZ-5")
        time.tzset()
        bare = format_datetime(datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=40))
        seconds = retry_after({"Retry-After": bare})
    time.tzset()
    assert bare.endswith("-0000")
    assert seconds == pytest.approx(40, abs=3)


@pytest.mark.parametrize("value", ["soon", "", "inf", "nan"])
def test_a_retry_after_that_makes_no_sense_is_none(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None
    assert retry_after({"date": value}) is None


def test_the_key_is_taken_out_of_all_parts_of_an_error_and_nothing_else_is() -> None:
    from cohere.core import ApiError

    error = ApiError(
        headers={"x-echo": f"key={KEY}", "x-id": "7"},
        status_code=401,
        body={"message": f"no {KEY}", "tried": [f"Bearer {KEY}", 3, None], "pair": (KEY, "b"), "code": 12},
    )
    without_key(error, KEY)
    assert error.headers == {"x-echo": "key=***", "x-id": "7"}
    assert error.body == {"message": "no ***", "tried": ["Bearer ***", 3, None], "pair": ["***", "b"], "code": 12}
    assert KEY not in str(error) + repr(vars(error))


def test_the_key_is_taken_out_of_errors_without_a_body_too() -> None:
    error = ValueError(f"bad header {KEY}", 5)
    without_key(error, KEY)
    assert error.args == ("bad header ***", 5)
    assert not hasattr(error, "body")
    short = ValueError("a key of seven letters is in many words")
    without_key(short, "letters")
    assert short.args == ("a key of seven letters is in many words",)


def test_the_fingerprint_of_a_downloaded_cross_encoder_is_its_name_and_limit() -> None:
    model = FastembedCrossEncoder("Xenova/ms-marco-MiniLM-L-12-v2", max_length=128, threads=1)
    assert model.fingerprint == "fastembed-cross-encoder:Xenova/ms-marco-MiniLM-L-12-v2:max_length=128"


def test_what_scores_but_is_no_model_is_refused_with_what_it_lacks() -> None:
    class Scores:
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            return [1.0] * len(texts)

    odd: Any = Scores()
    with pytest.raises(StrategyError, match="Scores has score, but no fingerprint, by which caches"):
        as_reranker(odd)
    odd.fingerprint = "mine"
    assert as_reranker(odd) is odd


def test_scores_that_are_no_numbers_are_an_error_that_names_the_model() -> None:
    model = CohereReranker(api_key=KEY)
    for odd in ("high", None, [1.0]):
        with pytest.raises(ScoringError, match=r"^the model \(CohereReranker\) returned scores that aren't numbers: "):
            check_scores([1.0, odd], 2, model)
    assert check_scores(["0.5", 1], 2, model) == [0.5, 1.0]


def test_an_encoders_own_fingerprint_is_that_of_its_similarity() -> None:
    class Named:
        fingerprint = "words-v7"

        def encode_query(self, text: str) -> list[float]:
            return [1.0]

        def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
            return [[1.0] for _ in texts]

    assert EncoderSimilarity(Named()).fingerprint == "cosine:words-v7"


async def test_a_cancelled_similarity_embeds_no_further_texts() -> None:
    class Waiting:
        def __init__(self) -> None:
            self.started, self.go, self.embedded = threading.Event(), threading.Event(), 0

        def encode_query(self, text: str) -> list[float]:
            return [1.0]

        def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
            self.embedded += len(texts)
            self.started.set()
            assert self.go.wait(PATIENCE), "nobody let it go on"
            return [[1.0] for _ in texts]

    encoder = Waiting()
    model = EncoderSimilarity(encoder)
    scoring = asyncio.create_task(model.ascore("q", ["text"] * 40))
    await asyncio.to_thread(encoder.started.wait, PATIENCE)
    first = encoder.embedded
    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring
    encoder.go.set()
    assert await model.ascore("q", ["next"]) == [1.0]  # waits its turn, so that the cancelled one is over
    assert 0 < first < 40
    assert encoder.embedded == first + 1

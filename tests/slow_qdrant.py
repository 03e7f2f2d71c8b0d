"""A loopback server whose searches hang or drip, and models that hang: what a deadline has to end."""

from __future__ import annotations

import asyncio
import builtins
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Literal

from qdrant_rerank import Formula, Fusion, Mmr, Nearest, RelevanceFeedback, Rerank, Strategy, TimeoutError, score
from qdrant_rerank.feedback import Coefficients
from tests.stub_qdrant import Received, StubQdrant, collection

__all__ = [
    "LIMIT",
    "LONGER",
    "READ_BY_A_MODEL",
    "STRATEGIES",
    "AwaitedModel",
    "HangingModel",
    "How",
    "SlowQdrant",
    "all_at_once",
    "all_awaited",
    "check_ends",
]

How = Literal["hangs", "drips", "hangs at first"]

LIMIT = 0.4
"""Seconds that a call may take in these tests."""
LONGER = 1.5
"""The same where a step that doesn't hang comes first."""
PATIENCE = 15.0
"""Seconds after which a deadline hasn't held, however busy the machine is; what hangs here hangs for longer."""
HANG = 60.0

_DENSE = Nearest("dense", limit=5)
STRATEGIES: dict[str, Strategy] = {
    "nearest": Nearest("dense"),
    "fusion": Fusion.rrf().over(_DENSE, Nearest("dense", limit=7)),
    "formula": Formula(2 * score()).over(_DENSE),
    "formula on the client": Formula(2 * score()).over(_DENSE).on_client(),
    "mmr": Mmr(diversity=0.3).over(_DENSE),
    "late interaction": Nearest("dense").over(_DENSE),
    "rerank": Rerank(reads=5).over(_DENSE),
    "feedback": RelevanceFeedback(seeds=_DENSE, coefficients=Coefficients(1.0, 0.5, 0.5), trust=True),
    "feedback, recall": RelevanceFeedback(
        seeds=_DENSE, coefficients=Coefficients(1.0, 0.5, 0.5), mode="recall", limit=9, trust=True
    ),
}
"""One of each kind; the last three have a model read."""
READ_BY_A_MODEL = ("rerank", "feedback", "feedback, recall")


class SlowQdrant(StubQdrant):
    """Answers what it is asked about itself, and then hangs or drips; or hangs from the first.

    Args:
        how: "hangs" and "drips" are about searches, of which those before `after` are answered at once.
        after: how many searches are answered.
        size: how many numbers its vector "dense" has.
    """

    def __init__(self, how: How, after: int = 0, size: int = 4) -> None:
        points = [
            {
                "id": number,
                "score": 1.0 - number / 10,
                "payload": {"text": f"text {number}"},
                "vector": {"dense": [1.0, 0.1, 0.2, 0.3]},
            }
            for number in range(1, 6)
        ]
        super().__init__(points, {"docs": collection({"dense": size}, points=100)})
        self.how, self.after = how, after
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients leave in the middle
        self.free = threading.Event()

    def answer(self, request: Received) -> tuple[int, Any]:
        if self.how == "hangs at first" or (self.how == "hangs" and self._is_slow(request)):
            self.free.wait(HANG)
        return super().answer(request)

    def send(self, write: Callable[[bytes], object], content: bytes) -> None:
        if self.how != "drips" or not self._is_slow(self.received[-1]):
            return super().send(write, content)
        with suppress(OSError):  # the client is gone
            for byte in content:  # each comes before a client's timeout for a read
                write(bytes([byte]))
                if self.free.wait(0.2):
                    return None
        return None

    def __exit__(self, *error: Any) -> None:
        self.free.set()
        super().__exit__(*error)

    def _is_slow(self, request: Received) -> bool:
        searches = [each for each in self.received if "/points/query" in each.path]
        return "/points/query" in request.path and len(searches) > self.after


class HangingModel:
    """A model that hangs, in a thread or awaited."""

    fingerprint = "hanging"

    def __init__(self) -> None:
        self.free = threading.Event()

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.free.wait(HANG)
        return [0.0] * len(texts)

    def encode_query(self, text: str) -> list[float]:
        self.free.wait(HANG)
        return [1.0, 0.0, 0.0, 0.0]

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [self.encode_query(text) for text in texts]


class AwaitedModel(HangingModel):
    """A model whose own coroutine hangs."""

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        await asyncio.sleep(HANG)
        return []

    async def aencode_query(self, text: str) -> list[float]:
        await asyncio.sleep(HANG)
        return []


def all_at_once(calls: Mapping[str, Callable[[], object]]) -> dict[str, object]:
    """What each of these calls ends in, by its name; all at once, as each takes its time."""

    def outcome(call: Callable[[], object]) -> object:
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        start = time.monotonic()
        ended = dict(zip(calls, pool.map(outcome, calls.values()), strict=True))
    assert time.monotonic() - start < PATIENCE
    return ended


async def all_awaited(calls: Mapping[str, Callable[[], Awaitable[object]]]) -> dict[str, object]:
    """As `all_at_once`, in this event loop."""
    start = time.monotonic()
    ended = await asyncio.gather(*(call() for call in calls.values()), return_exceptions=True)
    assert time.monotonic() - start < PATIENCE
    return dict(zip(calls, ended, strict=True))


def check_ends(ended: Mapping[str, object], doing: str, limit: float = LIMIT) -> None:
    """That each ended in a `TimeoutError` of ours that names the limit and what was done."""
    for name, error in ended.items():
        assert isinstance(error, TimeoutError), (name, error)
        assert isinstance(error, builtins.TimeoutError)
        assert re.search(rf"^the call's timeout of {limit} s was over after \d+\.\d\d s, while {doing}", str(error)), (
            name,
            error,
        )

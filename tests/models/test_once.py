from __future__ import annotations

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from qdrant_rerank._internals import Once


def test_the_value_is_made_once_however_many_threads_ask() -> None:
    made: list[int] = []
    once: Once[int] = Once()

    def make() -> int:
        time.sleep(0.02)
        made.append(1)
        return len(made)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: once.get(make), range(16)))

    assert values == [1] * 16
    assert made == [1]


def test_a_failure_is_not_kept() -> None:
    once: Once[int] = Once()

    with pytest.raises(ZeroDivisionError):
        once.get(lambda: 1 // 0)
    assert once.get(lambda: 7) == 7


def test_an_unpickled_one_starts_anew() -> None:
    once: Once[int] = Once()
    once.get(lambda: 1)

    assert pickle.loads(pickle.dumps(once)).get(lambda: 2) == 2

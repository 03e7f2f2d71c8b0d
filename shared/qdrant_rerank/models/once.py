"""A value made at first use, for models that take long to load."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Once"]

T = TypeVar("T")


class Once(Generic[T]):
    """Makes a value at first use, in one thread while others wait. Copies and unpickled ones start anew."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: list[T] = []

    def get(self, make: Callable[[], T]) -> T:
        """The value; `make` is called unless it was made before."""
        if not self._made:
            with self._lock:
                if not self._made:  # another thread may have been faster
                    self._made.append(make())
        return self._made[0]

    def __reduce__(self) -> tuple[type[Once[T]], tuple[()]]:
        return type(self), ()  # a loaded model doesn't travel between processes

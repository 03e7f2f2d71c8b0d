"""Training in one thread, as tests run side by side."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

__all__ = ["one_thread"]


def one_thread() -> AbstractContextManager[Any]:
    """Keeps OpenMP and BLAS to one thread."""
    return threadpool_limits(1)  # type: ignore[no-any-return]

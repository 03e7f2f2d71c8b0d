"""Calls to Qdrant that are made again when the server was only briefly unable to answer.

qdrant-client's `upload_points` retries too, but bad requests as well, without a pause, and with a warning each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import httpx
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

__all__ = ["persistently"]

T = TypeVar("T")
_BUSY: Final = (408, 429, 500, 502, 503, 504)
_BUSY_GRPC: Final = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED")


def persistently(call: Callable[[], T], attempts: int = 4, pause: float = 0.5) -> T:
    """What `call` returns, called again while the server is unreachable, overloaded or starting.

    The pauses are `pause` seconds, then twice that, and so on; or what the server asks for. The last error passes. Only
    for calls that may be made twice, as reading and upserting may.
    """
    for attempt in range(1, attempts):
        try:
            return call()
        except Exception as error:
            if not _is_passing(error):
                raise
            time.sleep(getattr(error, "retry_after_s", pause * 2 ** (attempt - 1)))
    return call()


def _is_passing(error: Exception) -> bool:
    match error:
        case ResourceExhaustedResponse():
            return True
        case UnexpectedResponse():
            return error.status_code in _BUSY
        case ResponseHandlingException():  # what went wrong below HTTP, or an answer that makes no sense
            return isinstance(error.source, httpx.TransportError)
        case _:
            code = getattr(error, "code", None)  # grpc.RpcError, without importing grpc
            return callable(code) and getattr(code(), "name", None) in _BUSY_GRPC

"""A gRPC server on loopback that plays back what a Qdrant server answered, or records it on the way to one.

The recording is JSON, so that it can be read and reviewed: each call's method, request, and either the response or the
status code with its details and trailing metadata. A request that isn't in the recording is refused, and remembered.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import qdrant_client.grpc  # noqa: F401  # brings the messages' descriptions
from google.protobuf import descriptor_pool, json_format, message_factory

__all__ = ["GrpcTape"]

_KEPT = ("retry-after",)  # of the trailing metadata


class GrpcTape(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """The server; a context manager that listens while it is entered.

    Args:
        path: the recording.
        upstream: host and port of a server to record; None plays back.
    """

    def __init__(self, path: Path, upstream: str | None = None) -> None:
        self.path = path
        self.refused: list[str] = []
        self._calls: list[dict[str, Any]] = [] if upstream else json.loads(path.read_text("utf-8")) if path.exists() else []
        self._left = list(self._calls)
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(upstream) if upstream else None
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=[self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def unplayed(self) -> list[str]:
        """The recorded calls that nobody made."""
        return [call["method"] for call in self._left] if self._channel is None else []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        method, metadata = handler_call_details.method, handler_call_details.invocation_metadata

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if self._channel is None:
                return self._play(method, request, context)
            return self._record(method, request, context, metadata)

        return grpc.unary_unary_rpc_method_handler(answer)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop(None).wait()
        if self._channel is not None:
            self._channel.close()
            if self._calls:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                lines = ",\n".join(json.dumps(call, ensure_ascii=False) for call in self._calls)
                self.path.write_text(f"[\n{lines}\n]\n", "utf-8")

    def _play(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = _as_json(method, request, answer=False)
        with self._lock:
            calls = [call for call in self._left if (call["method"], call["request"]) == (method, asked)]
            if not calls:
                self.refused.append(f"{method} {json.dumps(asked)}")
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"not in the recording: {method} {json.dumps(asked)[:500]}")
            call = calls[0]
            self._left.remove(call)
        if "code" in call:
            context.set_trailing_metadata(tuple(call.get("metadata", {}).items()))
            context.abort(grpc.StatusCode[call["code"]], call["details"])
        return _message(method, answer=True, value=call["response"])

    def _record(self, method: str, request: bytes, context: grpc.ServicerContext, metadata: Any) -> bytes:
        assert self._channel is not None
        call: dict[str, Any] = {"method": method, "request": _as_json(method, request, answer=False)}
        keys = [(key, value) for key, value in metadata or () if key in ("api-key", "authorization")]
        if not keys and "QDRANT_API_KEY" in os.environ and method == "/qdrant.Qdrant/HealthCheck":
            keys = [("api-key", os.environ["QDRANT_API_KEY"])]
        try:
            response: bytes = self._channel.unary_unary(method)(request, metadata=keys, timeout=context.time_remaining())
        except grpc.RpcError as error:
            trailing = {key: value for key, value in error.trailing_metadata() or () if key in _KEPT}
            more = {"metadata": trailing} if trailing else {}
            with self._lock:
                self._calls.append(call | {"code": error.code().name, "details": error.details()} | more)
            context.set_trailing_metadata(tuple(trailing.items()))
            context.abort(error.code(), error.details())
        with self._lock:
            self._calls.append(call | {"response": _scrubbed(_as_json(method, response, answer=True))})
        return response


def _scrubbed(response: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from one run to the next."""
    return {key: 0.0 if key == "time" else value for key, value in response.items() if key not in ("usage", "commit")}


def _message_class(method: str, answer: bool) -> Any:
    service, name = method.lstrip("/").split("/")
    described = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return message_factory.GetMessageClass(described.output_type if answer else described.input_type)


def _as_json(method: str, content: bytes, answer: bool) -> dict[str, Any]:
    message = _message_class(method, answer).FromString(content)
    found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return found


def _message(method: str, answer: bool, value: Mapping[str, Any]) -> bytes:
    message = json_format.ParseDict(value, _message_class(method, answer)())
    return bytes(message.SerializeToString())

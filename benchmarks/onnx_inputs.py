"""Turns an input of an ONNX file into zeros, by editing the protocol buffer: the `onnx` package isn't needed for it.

fastembed passes late-interaction models no `token_type_ids`; for one text at a time these are zeros anyway.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["with_zeros"]

# Field numbers of onnx.proto: ModelProto.graph; GraphProto.node, .input; ValueInfoProto.name;
# NodeProto.input, .output, .op_type.
_GRAPH, _NODE, _INPUT, _NAME = 7, 1, 11, 1
_NODE_INPUT, _NODE_OUTPUT, _OP_TYPE = 1, 2, 4
_BYTES = 2  # the wire type of strings and messages


def with_zeros(model: bytes, name: str, like: str = "input_ids") -> bytes:
    """Return the model with its input `name` computed as `like - like`: zeros of the same shape and type.

    Raises `ValueError` if the model has no such input.
    """
    return b"".join(
        _field(number, _graph(content, name, like)) if number == _GRAPH and content is not None else raw
        for number, content, raw in _fields(model)
    )


def _graph(graph: bytes, name: str, like: str) -> bytes:
    zeros = b"".join(
        _field(number, text.encode())
        for number, text in ((_NODE_INPUT, like), (_NODE_INPUT, like), (_NODE_OUTPUT, name), (_OP_TYPE, "Sub"))
    )
    kept = [
        raw
        for number, content, raw in _fields(graph)
        if not (number == _INPUT and content is not None and _named(content, name))
    ]
    if sum(map(len, kept)) == len(graph):
        raise ValueError(f"the graph has no input {name!r}")
    return _field(_NODE, zeros) + b"".join(kept)  # nodes are in the order of computation, so this one comes first


def _named(value_info: bytes, name: str) -> bool:
    return any(number == _NAME and content == name.encode() for number, content, _ in _fields(value_info))


def _fields(message: bytes) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Each field's number, its content if that is a string or message, and the field as it is in the file."""
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        content = None
        match key & 7:
            case 0:
                _, position = _varint(message, position)
            case 1:
                position += 8
            case 2:
                length, position = _varint(message, position)
                content = message[position : position + length]
                position += length
            case 5:
                position += 4
            case other:
                raise ValueError(f"not an ONNX file: wire type {other}")
        yield key >> 3, content, message[start:position]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position


def _field(number: int, content: bytes) -> bytes:
    return _written(number << 3 | _BYTES) + _written(len(content)) + content


def _written(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])

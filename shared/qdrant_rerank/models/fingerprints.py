"""Short texts that are the same exactly for models that give the same scores: what caches and fitted settings go by."""

from __future__ import annotations

import dataclasses
import hashlib
from os import PathLike
from pathlib import Path
from typing import Any, Final

__all__ = ["encoder_fingerprint", "folder_digest"]

_TEXT_FILES: Final = {".json", ".txt", ".model"}  # tokenizers and settings
_FASTER_OR_SLOWER: Final = {"threads", "batch_size", "options", "parallel", "timeout", "seconds", "attempts"}


def folder_digest(folder: str | PathLike[str]) -> str:
    """16 hex digits of the contents of a model's folder: weights, tokenizer and settings, by their names within it.

    Reads all of them: about a second for each gigabyte.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(folder).rglob("*")):
        if file.is_file() and _is_of_the_model(file):
            with file.open("rb") as content:
                inner = hashlib.file_digest(content, "sha256").hexdigest()
            digest.update(f"{file.relative_to(folder).as_posix()} {inner}\n".encode())
    return digest.hexdigest()[:16]


def _is_of_the_model(file: Path) -> bool:
    return file.suffix in _TEXT_FILES or ".onnx" in file.name or file.suffix == ".safetensors"


def encoder_fingerprint(encoder: object) -> str:
    """What tells an encoder from others: its own `fingerprint`, or its type with the settings that change vectors.

    A folder counts by its contents, wherever it is and whatever its model is called. Of an encoder that is no dataclass only
    the type is known.
    """
    own = getattr(encoder, "fingerprint", None)
    if isinstance(own, str):
        return own
    if not dataclasses.is_dataclass(encoder) or isinstance(encoder, type):
        return type(encoder).__qualname__
    left_out = _FASTER_OR_SLOWER | ({"model"} if getattr(encoder, "is_own", False) else set())
    settings = {
        field.name: _setting(field.name, getattr(encoder, field.name))
        for field in dataclasses.fields(encoder)
        if field.repr and field.compare and field.name not in left_out
    }
    return f"{type(encoder).__qualname__.lstrip('_')}({', '.join(f'{name}={value}' for name, value in settings.items())})"


def _setting(name: str, value: Any) -> str:
    if name == "path" and value is not None:
        return folder_digest(value)
    if callable(value):
        function = value if hasattr(value, "__qualname__") else type(value)
        return f"{function.__module__}.{function.__qualname__}"
    own_repr: object = type(value).__repr__
    if own_repr is object.__repr__:  # which tells where in memory it is, and nothing of what it does
        return type(value).__qualname__
    return repr(value)

"""Values that users write: what counts as a number, what tells models apart, how messages, `repr`s and notebooks show a value.

Bools don't count as numbers, although Python takes them for integers.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import partial
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np
from pydantic import BaseModel

from .errors import StrategyError

LEVELS: Final = 120
"""How deep a payload or a filter may be nested to be stored: engines read 128 levels, some of which they use themselves."""
LARGEST: Final = 2**32 - 1
"""The largest limit, offset, size of a graph's list and the like: what every API takes, and far beyond any use."""
MOST_GROUPED: Final = 2**20
"""The most points that groups may hold together: a server makes room for all of them at once, and 2**32 are its end."""


def is_number(value: object) -> bool:
    """Whether `value` is an int or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Whether `value` is an int or a float, neither infinite nor NaN nor an int beyond all floats."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def to_plain(value: Any) -> Any:
    """A number of numpy's as one of Python's; everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def is_whole(value: object, least: int) -> bool:
    """Whether `value` is an int of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_counts(least: int, **values: object) -> None:
    """Refuse values, by their names, that aren't whole numbers of at least `least`. Raises StrategyError."""
    for name, value in values.items():
        if not is_whole(value, least):
            raise StrategyError(f"{name} must be a whole number of at least {least}, got {value!r}")


def to_whole(value: Any) -> int | None:
    """The whole number that `value` is, of Python's or numpy's types; None if it is none."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # which floats and numpy's bools don't have
    except TypeError:
        return None


def measure(value: Any) -> tuple[int, int]:
    """How many levels a payload or a filter is nested, and about how many bytes it takes."""
    deepest = size = 0
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:  # not by recursion: Python's own limit is no error of the user's
        item, level = waiting.pop()
        inner: Iterable[Any]
        if isinstance(item, str):
            size += len(item) if item.isascii() else 4 * len(item)
            continue
        if isinstance(item, Mapping):
            size += sum(map(len, map(str, item)))
            inner = item.values()
        elif isinstance(item, BaseModel):
            inner = item.__dict__.values()
        elif isinstance(item, list | tuple | set | frozenset):
            inner = item
        else:
            size += 16
            continue
        deepest = max(deepest, level)
        waiting.extend((one, level + 1) for one in inner if one is not None)
    return deepest, size


_LONGEST: Final = 200


def brief(value: object, longest: int = _LONGEST) -> str:
    """The value's `repr`, cut in the middle where it is longer than `longest` characters, with how long it is."""
    try:
        return clip_text(repr(value), longest)
    except ValueError:  # Python writes no int of more than 4300 digits
        return f"a huge {type(value).__name__}"


def clip_text(text: str, longest: int = _LONGEST) -> str:
    """The text, cut in the middle where it is longer than `longest` characters, with how long it is."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … {text[-half:]} ({len(text):,} characters)"


def list_few(values: Sequence[object]) -> str:
    """The first three values, and whether there are more."""
    return ", ".join(map(repr, values[:3])) + (", …" if len(values) > 3 else "")


def literal(value: Any) -> str:
    """Python source for `value`, to be read with `models` (of qdrant_client) and `datetime` in scope.

    Pydantic models show only the fields that differ from their defaults, so that a filter stays readable.
    """
    match value:
        case BaseModel():
            return _model(value)
        case Enum():
            return f"models.{type(value).__name__}({literal(value.value)})"
        case dt.datetime():
            return f"datetime.datetime.fromisoformat({value.isoformat()!r})"
        case dt.date():
            return f"datetime.date.fromisoformat({value.isoformat()!r})"
        case Mapping():
            return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(literal, value)) + "]"
        case tuple():
            return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
        case _:
            return repr(value)


def call(name: str, *positional: Any, **named: Any) -> str:
    """Python source for a call of `name`."""
    arguments = [*map(literal, positional), *(f"{key}={literal(value)}" for key, value in named.items())]
    return f"{name}({', '.join(arguments)})"


def _model(value: BaseModel) -> str:
    plain: list[str] = []
    aliased: dict[str, Any] = {}
    for name, info in type(value).model_fields.items():
        item = getattr(value, name)
        if not info.is_required() and item == info.get_default(call_default_factory=True, validated_data={}):
            continue
        if info.alias is None:
            plain.append(f"{name}={literal(item)}")
        else:  # e.g. MatchExcept's `except`, which is a keyword of Python
            aliased[info.alias] = item
    if aliased:
        plain.append(f"**{literal(aliased)}")
    return f"models.{type(value).__name__}({', '.join(plain)})"


def qualname_of(value: object) -> str:
    """The name of a function or class with its module's; of anything else, that of its type."""
    named: Any = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


T = TypeVar("T")


def as_list(value: Any) -> list[Any]:
    """What Qdrant's models take as one or as a list of them, as a list; an empty one of None."""
    return value if isinstance(value, list) else [] if value is None else [value]


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


# HTML tables for notebooks, with text from outside escaped

_HEADING: Final = 40  # characters of a heading; the whole is its title


@dataclass(frozen=True)
class Bar:
    """A number with a bar behind it, whose length is its share of `most`; a dash for one that isn't finite."""

    value: float
    most: float


def as_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], below: str = "") -> str:
    """A table with a caption, and a text below it."""
    cut = [name if len(name) <= _HEADING else f"{name[:_HEADING]}…" for name in head]
    heading = "".join(f'<th title="{escape(name)}">{escape(shown)}</th>' for name, shown in zip(head, cut, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    table = f"<table><caption>{escape(caption)}</caption><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"
    return table + (as_text(below) if below else "")


def as_text(text: str) -> str:
    """A text as it stands, in a fixed pitch."""
    return f"<pre>{escape(text)}</pre>"


def _cell(value: object) -> str:
    if isinstance(value, Bar) and math.isfinite(value.value):
        share = 100 * abs(value.value) / value.most if value.most else 0.0
        colour = "#7fb3d5" if value.value >= 0 else "#e6a1a1"
        style = f"background: linear-gradient(90deg, {colour} {share:.0f}%, transparent {share:.0f}%)"
        return f'<td style="{style}">{value.value:+.4f}</td>'
    text = f"{value:.4f}" if isinstance(value, float) else "–" if value is None or isinstance(value, Bar) else str(value)
    return f"<td>{escape(text)}</td>"


P = ParamSpec("P")
R = TypeVar("R")


def share_arguments(source: Callable[P, object]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Show the arguments of `source` as those of a function that hands them on: to type checkers, in `help()` and the docs."""

    def share(function: Callable[..., R]) -> Callable[P, R]:
        shared = inspect.signature(function).replace(parameters=list(inspect.signature(source).parameters.values()))
        function.__dict__["__signature__"] = shared
        return function

    return share


def find_changes(known: Iterable[tuple[str, object, Callable[[], object]]]) -> Iterator[tuple[str, object, object]]:
    """What isn't as it was, of what both sides know: what it is, what it was, and what it is now.

    Each comes with a function for what it is now, as that of a model may read its folder; it is called only where it was known.
    """
    for what, was, look in known:
        if was is not None and (now := look()) is not None and now != was:
            yield what, was, now


_MODEL_FILES: Final = {".safetensors", ".json", ".txt", ".model"}  # weights; tokenizers and settings
_FASTER_OR_SLOWER: Final = {"threads", "batch_size", "options", "parallel", "timeout", "seconds", "attempts"}
_NAMES: Final = ("model_name", "model", "model_id", "deployment")
_SETTINGS: Final = (
    *("revision", "dimensions", "output_dimension", "output_dimensionality", "pooling", "normalize", "encode_kwargs"),
    *("max_length", "query_instruction", "text_instruction", "embed_instruction", "task_type", "input_type", "truncate"),
)
"""What frameworks call the settings of an embedding model that change its vectors."""


def folder_digest(folder: str | PathLike[str]) -> str:
    """16 hex digits of the contents of a model's folder: weights, tokenizer and settings, by their names within it.

    Reads all of them: about a second for each gigabyte.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(folder).rglob("*")):
        if file.is_file() and (file.suffix in _MODEL_FILES or ".onnx" in file.name):
            with file.open("rb") as content:
                inner = hashlib.file_digest(content, "sha256").hexdigest()
            digest.update(f"{file.relative_to(folder).as_posix()} {inner}\n".encode())
    return digest.hexdigest()[:16]


def model_name(model: object) -> str | None:
    """A model's name, from one of the usual places, or None."""
    found = [getattr(model, attribute, None) for attribute in _NAMES]
    with contextlib.suppress(Exception):  # some LlamaIndex models refuse to describe a model that they don't know
        found.append(getattr(getattr(model, "metadata", None), "model_name", None))
    return next((name for name in found if isinstance(name, str) and name not in ("", "unknown")), None)


def identify(value: object) -> str | None:
    """What tells a model, an encoder or a function from others, in every process; None where nothing does.

    It is the value's own `fingerprint`; the name of a function at the top of a module; what a method or a partial is bound to;
    the settings of a dataclass, where a folder counts by its contents, whatever it and its model are called; the name of a
    framework's model, with the settings that change vectors; or the type of an object that holds nothing.
    """
    own = getattr(value, "fingerprint", False)
    if own is None or isinstance(own, str):
        return own
    if isinstance(value, partial):
        parts = [identify(value.func), *map(_identify_setting, [*value.args, *value.keywords.items()])]
        return _call("partial", parts)
    if inspect.ismethod(value) or (inspect.isbuiltin(value) and not inspect.ismodule(value.__self__)):
        owner = identify(value.__self__)
        return owner and f"{owner}.{value.__name__}"
    if is_dataclass(value) and not isinstance(value, type):
        return _identify_dataclass(value)
    name = qualname_of(value)
    if not hasattr(value, "__qualname__"):
        return _identify_object(value, name)
    return None if "<" in name else name  # a lambda, or a function within one, whose variables nobody sees


def _identify_dataclass(value: Any) -> str | None:
    name = qualname_of(value)
    if "<" in name:  # made in a function, whose variables nobody sees
        return None
    if type(value).__module__.partition(".")[0].endswith("qdrant_rerank"):
        name = type(value).__qualname__.lstrip("_")
    left_out = _FASTER_OR_SLOWER | ({"model"} if getattr(value, "is_own", False) else set())
    parts = list[str | None]()
    for each in fields(value):
        if each.repr and each.compare and each.name not in left_out:
            found = getattr(value, each.name)
            known = folder_digest(found) if each.name == "path" and found is not None else _identify_setting(found)
            parts.append(known and f"{each.name}={known}")
    return _call(name, parts)


def _identify_object(value: object, name: str) -> str | None:
    inner = getattr(value, "underlying_embeddings", None)  # LangChain's cache
    if inner is not None:
        return identify(inner)
    for part in (value, getattr(value, "model", None)):
        if model := model_name(part):
            there = ((setting, getattr(part, setting, None)) for setting in _SETTINGS)
            shown = [f"{setting}={each!r}" for setting, each in there if isinstance(each, str | int | float | dict)]
            return _call(f"{name}/{model}", [each for each in shown if " at 0x" not in each])
    return name if "<" not in name and getattr(value, "__dict__", None) == {} else None


def _identify_setting(value: Any) -> str | None:
    if known := identify(value):
        return known
    text = repr(value)  # without an address, as the same model has another in the next process, and more than `<Model>`
    vague = callable(value) or " at 0x" in text or (text.startswith("<") and not isinstance(value, Enum))
    is_abridged = "..." in text and not isinstance(value, str)  # as of large arrays
    return None if vague or is_abridged else text


def _call(name: str, parts: Sequence[str | None]) -> str | None:
    return None if None in parts else f"{name}({', '.join(map(str, parts))})" if parts else name

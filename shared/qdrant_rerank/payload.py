"""Which payload key is a point's text and which are its metadata: presets for how collections were written.

| preset | text | metadata |
|---|---|---|
| `langchain` | `page_content` | the object below `metadata` (langchain-qdrant) |
| `llama_index` | inside the JSON of `_node_content` | the keys at the root (LlamaIndex's QdrantVectorStore) |
| `flat` | `text` | all other keys at the root |

Anything else: `PayloadMapping(text=…, metadata=…)`, or a function from payload to `(text, metadata)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

from .errors import PayloadError, StrategyError, did_you_mean, warn
from .steps import Points
from .threads import carrying
from .values import brief, qualname_of

Payload: TypeAlias = Mapping[str, Any]
Mapper: TypeAlias = Callable[[Payload], tuple[str, Mapping[str, Any]]]
PayloadLike: TypeAlias = "str | PayloadMapping | Mapper"
"""A preset's name, a mapping, or a function from payload to `(text, metadata)`."""


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """What of a point's payload a model reads.

    Attributes:
        keys: the (dotted) payload keys of the text.
        joiner: what stands between the texts of several keys; None where there is only one.
        nodes: whether the text is inside the JSON that LlamaIndex wrote, where there is none under the keys.
        metadata: which of a LlamaIndex node's metadata is read with its text, e.g. "embed"; None for none.
        function: the name of the function that makes the text, where one does.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  # as pydantic reads it

    keys: tuple[str, ...] = ()
    joiner: str | None = None
    nodes: bool = False
    metadata: str | None = None
    function: str | None = None

    def __str__(self) -> str:
        if self.function is not None:
            what = f"what {self.function} makes of the payload"
        else:
            there = [" + ".join(map(repr, self.keys)) + (f" (joined by {self.joiner!r})" if self.joiner is not None else "")]
            what = " or ".join([*(there if self.keys else []), *(["the node that LlamaIndex wrote"] if self.nodes else [])])
        return what if self.metadata is None else f"{what}, with a LlamaIndex node's metadata ({self.metadata!r})"

    @property
    def is_known(self) -> bool:
        """Whether it can be read here: it is no function, nor what LlamaIndex alone puts together."""
        return self.function is None and self.metadata is None

    def read(self, payload: Mapping[str, Any]) -> str:
        """The text that is read of a payload; of a source that is known."""
        joiner = {} if self.joiner is None else {"joiner": self.joiner}
        text = PayloadMapping(self.keys, **joiner).content(payload).text if self.keys else ""
        return text if text.strip() or not self.nodes else PRESETS["llama_index"].content(payload).text

    def remedy(self, here: TextSource, payloads: tuple[Mapping[str, Any], ...]) -> str:
        """The arguments with which an executor or retriever that reads `here` reads this, which is known.

        Some of the collection's payloads tell whether LlamaIndex wrote it.
        """
        bare = TextSource(keys=self.keys, joiner=self.joiner)
        written = self.nodes and not any(bare.read(payload).strip() for payload in payloads)
        arguments = ["payload='llama_index'" if written or not self.keys else f"payload={self._mapping()}"]
        if here.metadata is not None:
            arguments.append("metadata_mode=MetadataMode.NONE")
        return ", ".join(arguments)

    def _mapping(self) -> str:
        if len(self.keys) == 1:
            return f"PayloadMapping(text={self.keys[0]!r})"
        return f"PayloadMapping(text={self.keys!r}, joiner={self.joiner!r})"


class Content(NamedTuple):
    """A point's text, and a copy of its metadata."""

    text: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class PayloadMapping:
    """Where a payload's text and metadata are.

    Args:
        text: the (dotted) key of the text, or several keys whose texts are joined.
        metadata: the (dotted) key of the object that holds the metadata; None for all keys but the text's.
        joiner: what stands between the texts of several keys.
    """

    text: str | tuple[str, ...] = "text"
    metadata: str | None = None
    joiner: str = "\n\n"

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            object.__setattr__(self, "text", tuple(self.text))
        if not self.text_keys or not all(self.text_keys):
            raise StrategyError(f"the text key of a payload mapping must be a key or several, got {self.text!r}")

    @property
    def text_keys(self) -> tuple[str, ...]:
        return (self.text,) if isinstance(self.text, str) else self.text

    @property
    def source(self) -> TextSource:
        """What a model reads, for what is fitted to its scores."""
        return TextSource(keys=self.text_keys, joiner=self.joiner if len(self.text_keys) > 1 else None)

    def has_text(self, payload: Payload) -> bool:
        """Whether the payload has any of the text's keys, even null."""
        return any(value_at(payload, key, _ABSENT) is not _ABSENT for key in self.text_keys)

    def content(self, payload: Payload) -> Content:
        """The text ("" where it is null or missing) and a copy of the metadata."""
        text = payload.get(self.text) if isinstance(self.text, str) else None  # the common case, on the path of every result
        if not isinstance(text, str):
            text = self._text(payload)
        if self.metadata is not None:
            found = payload.get(self.metadata)
            if found is None:
                found = value_at(payload, self.metadata)
            if not isinstance(found, dict):
                return Content(text, {})
            metadata = found.copy()
            for key, value in found.items():
                if isinstance(value, _NESTED):
                    metadata[key] = _copy(value)
            return Content(text, metadata)
        rest = {key: value for key, value in payload.items() if key not in self.text_keys}
        return Content(text, _copy(rest))

    def _text(self, payload: Payload) -> str:
        if isinstance(self.text, str):
            found = value_at(payload, self.text)
            return found if isinstance(found, str) else "" if found is None else str(found)
        texts = (value_at(payload, key) for key in self.text)
        return self.joiner.join(str(value) for value in texts if value is not None)


@dataclass(frozen=True)
class _LlamaIndexPayload:
    """What LlamaIndex's QdrantVectorStore writes: metadata at the root, the node as JSON text beside it."""

    text_keys: tuple[str, ...] = ("_node_content",)
    source: ClassVar[TextSource] = TextSource(nodes=True)

    def has_text(self, payload: Payload) -> bool:
        return "_node_content" in payload

    def content(self, payload: Payload) -> Content:
        metadata = {key: _copy(value) for key, value in payload.items() if key not in _NODE_KEYS}
        try:
            node = json.loads(payload.get("_node_content") or "{}")
        except (TypeError, ValueError, RecursionError):
            return Content("", metadata)
        found = (value_at(node, key) for key in ("text", "text_resource.text") if isinstance(node, Mapping))
        return Content(next((text for text in found if isinstance(text, str)), ""), metadata)


@dataclass(frozen=True)
class _MapperPayload:
    mapper: Mapper
    text_keys: tuple[str, ...] = ()

    @property
    def source(self) -> TextSource:
        return TextSource(function=qualname_of(self.mapper))

    def has_text(self, payload: Payload) -> bool:
        return True  # the function knows; it is not second-guessed

    def content(self, payload: Payload) -> Content:
        with carrying(PayloadError, self._named):
            answer: Any = self.mapper(payload)
        if isinstance(answer, tuple | list) and len(answer) == 2:
            text, metadata = answer
            if isinstance(text, str) and isinstance(metadata, Mapping):
                return Content(text, dict(metadata))
        raise PayloadError(
            f"{self._named()} returned {brief(answer)}: it must return (text, metadata), a str and a mapping; the str is '' "
            "where a point has no text"
        )

    def _named(self) -> str:
        return f"the payload function {self.source.function}"


AnyMapping: TypeAlias = "PayloadMapping | _LlamaIndexPayload | _MapperPayload"

_ABSENT = object()
_NESTED = (dict, list)  # a tuple, as `isinstance` asks it three times as fast as `dict | list`
_NODE_KEYS = ("_node_content", "_node_type", "document_id", "doc_id", "ref_doc_id")

PRESETS: Mapping[str, AnyMapping] = {
    "langchain": PayloadMapping("page_content", "metadata"),
    "llama_index": _LlamaIndexPayload(),
    "flat": PayloadMapping("text"),
}


def as_mapping(value: PayloadLike | AnyMapping) -> AnyMapping:
    """The mapping of a preset's name, a mapping or a function. Raises StrategyError where it stands for none."""
    if isinstance(value, PayloadMapping | _LlamaIndexPayload | _MapperPayload):
        return value
    if isinstance(value, str):
        if value in PRESETS:
            return PRESETS[value]
        listed = ", ".join(map(repr, PRESETS))
        hint = did_you_mean(value, PRESETS) or f"; for text under the key {value!r} write PayloadMapping(text={value!r})"
        raise StrategyError(f"no payload preset {value!r}; there are {listed}{hint}")
    if callable(value):
        return _MapperPayload(value)
    raise StrategyError(f"payload= takes a preset's name, a PayloadMapping or a function, got {value!r}")


def keys_of(mapping: AnyMapping) -> tuple[str, ...] | None:
    """The root keys that hold the text; None if a function reads it, or a path leads there."""
    keys = mapping.text_keys
    return keys if keys and all(key.replace("_", "").replace("-", "").isalnum() for key in keys) else None


def _copy(value: Any) -> Any:
    """A copy of a JSON value; `copy.deepcopy` takes several times as long."""
    if isinstance(value, dict):
        return {key: _copy(item) if isinstance(item, _NESTED) else item for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def read_contents(points: Points, mapping: AnyMapping, collection: str) -> list[Content]:
    """The text and metadata of each point.

    A point without text (no payload, null, a missing key) gets the text "" and a `PlanWarning` that names it. Raises
    PayloadError where not one point has the text's keys, though they have others: the mapping is wrong.
    """
    contents = [mapping.content(point.payload or {}) for point in points]
    if "" not in [content.text for content in contents]:
        return contents
    empty = [point for point, content in zip(points, contents, strict=True) if not content.text]
    payloads = [point.payload for point in points if point.payload]
    if len(empty) == len(points) and payloads and not any(map(mapping.has_text, payloads)):
        raise PayloadError(_wrong_mapping(points, mapping, collection))
    listed = ", ".join(repr(point.id) for point in empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
    warn(f"points without text in {collection!r}: {listed}; their text is empty")
    return contents


def read_texts(points: Points, mapping: AnyMapping, collection: str) -> list[str]:
    """What a model reads of each point; "" where it has no text, which the caller tells.

    Where no point has text: a `PlanWarning` or, as of `read_contents`, a `PayloadError`.
    """
    texts = [mapping.content(point.payload or {}).text for point in points]
    if points and not any(text.strip() for text in texts):
        read_contents(points, mapping, collection)  # says whether it is the points or the mapping
    return texts


def _wrong_mapping(points: Points, mapping: AnyMapping, collection: str) -> str:
    looked = " or ".join(map(repr, mapping.text_keys))
    there = ", ".join(map(repr, sorted({key for point in points for key in point.payload or {}})))  # gRPC's have no order
    return (
        f"none of the {len(points)} points found in {collection!r} has text under {looked}; their payload has {there}: "
        f"say where the text is with payload=PayloadMapping(text='…'), or payload={' or '.join(map(repr, PRESETS))}"
    )


def value_at(payload: Payload, key: str, default: Any = None) -> Any:
    """The value under a dotted key: the key as it stands, else a path through nested objects."""
    if key in payload:
        return payload[key]
    value: Any = payload
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value

"""Where a model's texts come from: what of a payload it reads, as a value that is kept with what was fitted to its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TextSource"]


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
        """Whether it can be read again here: no function, nor what only LlamaIndex puts together."""
        return self.function is None and self.metadata is None

    def read(self, payload: Mapping[str, Any]) -> str:
        """The text that is read of a payload; of a source that is known."""
        from .payload import PRESETS, PayloadMapping  # which describe themselves by this

        joiner = {} if self.joiner is None else {"joiner": self.joiner}
        text = PayloadMapping(self.keys, **joiner).content(payload).text if self.keys else ""
        return text if text.strip() or not self.nodes else PRESETS["llama_index"].content(payload).text

    def remedy(self, here: TextSource, payloads: tuple[Mapping[str, Any], ...]) -> str:
        """What makes an executor or retriever that reads `here` read this, which is known.

        Args:
            here: what is read now.
            payloads: some of the collection's, which tell whether LlamaIndex wrote it.
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

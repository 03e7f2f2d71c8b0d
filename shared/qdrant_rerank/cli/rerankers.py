"""The models that `--rerank` names, and what they do to a strategy.

A model is written `cohere:NAME`, `fastembed:ORGANISATION/NAME` (or without `fastembed:`), `ORGANISATION/NAME@DIR` for one whose
files are in a folder, or `cross-encoder:DIR` for a cross-encoder of one's own.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .. import PayloadMapping, QdrantRerankError, Rerank, Strategy
from .._internals import READ, Content, OnError, TextSource, did_you_mean
from ..expressions import parse_expression
from ..models import Reranker
from .failures import CommandError
from .show import TEXT_KEYS, llama_index_text

__all__ = ["Reranking", "ShownText", "reranker"]

_KINDS: Final = ("cohere", "fastembed", "cross-encoder")
_KEYS: Final = ("CO_API_KEY", "COHERE_API_KEY")
_FORMS: Final = (
    "cohere:rerank-v3.5, fastembed:Xenova/ms-marco-MiniLM-L-6-v2, NAME@DIR for one of fastembed's in a folder, and "
    "cross-encoder:DIR for one of your own"
)


@dataclass(frozen=True)
class Reranking:
    """What a model is to do, as the options say; see their help.

    Attributes:
        model, limit, blend, on_error: the options of `rerank_options`.
        text_keys: the payload keys with the text that it reads.
    """

    model: str | None = None
    limit: int | None = None
    blend: str | None = None
    on_error: str | None = None
    text_keys: tuple[str, ...] = ()

    @property
    def is_asked(self) -> bool:
        """Whether any of the options is given."""
        return (self.model, self.limit, self.blend, self.on_error) != (None, None, None, None)

    def over(self, strategy: Strategy) -> Strategy:
        """The strategy, read by the model.

        Raises:
            CommandError: it has texts scored by a model, and none is named; or options have no effect.
            StrategyError: the blend, or how many to read, can't be.
        """
        given = {"--rerank-limit": self.limit, "--blend": self.blend, "--on-error": self.on_error}
        named = [option for option, value in given.items() if value is not None]
        if strategy.cost.model_calls > 0:
            if self.model is None:
                raise CommandError(f"the strategy has texts scored by a model: say by which, with --rerank MODEL ({_FORMS})")
            if named:
                raise CommandError(f"the strategy's file says how a model reranks, which excludes {', '.join(named)}")
            return strategy
        if self.model is None:
            if named:
                raise CommandError(f"{', '.join(named)}: nothing reranks, add --rerank MODEL ({_FORMS})")
            return strategy
        return self._rescore().over(strategy)

    def _rescore(self) -> Rerank:
        if self.on_error not in (None, "raise", "keep_order"):
            raise CommandError(f"--on-error is raise or keep_order, got {self.on_error!r}")
        on_error: OnError = "keep_order" if self.on_error == "keep_order" else "raise"
        blend = None if self.blend is None else parse_expression(self.blend)
        return Rerank(limit=READ if self.limit is None else self.limit, on_error=on_error, blend=blend)


@contextmanager
def reranker(text: str | None) -> Generator[Reranker | None, None, None]:
    """The model that `--rerank` names, if it does, with its connections closed at the end.

    A local one is tried on a short text, so that what can't be loaded fails now.

    Raises:
        CommandError: there is no such model, or it can't be loaded, or it needs a key that the environment lacks.
        MissingExtra: it needs an optional dependency.
    """
    model = None if text is None else _made(text)
    try:
        yield model
    finally:
        close = getattr(model, "close", None)
        if close is not None:
            close()


def _made(text: str) -> Reranker:
    kind, colon, name = text.partition(":")
    if colon and kind == "cohere" and name:
        return _cohere(text, name)
    if colon and kind == "cross-encoder" and name:
        folder = _folder(text, name)
        return _tried(text, folder.name or "own", folder)
    name, at, place = (name if colon and kind == "fastembed" else text).partition("@")
    if "/" in name and (not colon or kind == "fastembed"):
        return _tried(text, name, _folder(text, place) if at else None)
    raise CommandError(f"--rerank {text}: no such model{did_you_mean(kind, _KINDS)}; there are {_FORMS}")


def _cohere(text: str, name: str) -> Reranker:
    from ..models import CohereReranker

    if not any(os.environ.get(key) for key in _KEYS):
        raise CommandError(f"--rerank {text}: set the environment variable {' or '.join(_KEYS)} to your API key")
    return CohereReranker(name)


def _folder(text: str, place: str) -> Path:
    if not Path(place).is_dir():
        raise CommandError(f"--rerank {text}: there is no folder {place!r}")
    return Path(place).resolve()


def _tried(text: str, name: str, folder: Path | None) -> Reranker:
    from ..models import FastembedCrossEncoder

    model = FastembedCrossEncoder(name, path=folder)
    try:
        model.score("a short text", ["another"])
    except QdrantRerankError:
        raise
    except Exception as error:  # whatever fastembed, onnxruntime and the hub's client raise
        remedy = f"; without a network, give its files: --rerank {name}@DIR" if folder is None else ""
        raise CommandError(f"--rerank {text}: the model can't be loaded: {error}{remedy}") from error
    return model


@dataclass(frozen=True)
class ShownText(PayloadMapping):
    """What a model reads of a result: all of the keys whose text is shown, or the text of a node that LlamaIndex wrote."""

    @classmethod
    def of(cls, keys: Sequence[str]) -> ShownText:
        """The mapping for the keys of `--text-key`."""
        return cls(tuple(keys) or tuple(TEXT_KEYS.split(",")))

    @property
    def source(self) -> TextSource:
        return replace(super().source, nodes=True)

    def has_text(self, payload: Mapping[str, Any]) -> bool:
        return super().has_text(payload) or bool(llama_index_text(payload))

    def content(self, payload: Mapping[str, Any]) -> Content:
        return Content(self._text(payload) or llama_index_text(payload), {})

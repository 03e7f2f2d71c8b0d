"""Models that fastembed runs on this machine: dense, sparse and late interaction. Nothing is loaded before first use."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from importlib.util import find_spec
from os import PathLike, fspath
from pathlib import Path
from typing import Any, ClassVar

from qdrant_client import models

from ..errors import MissingExtra, StrategyError, did_you_mean
from ..schema import Kind
from ..values import is_whole
from .fastembed_custom import POOLINGS, Pooling, check_model_file, is_registered_here, registered
from .once import Once

__all__ = ["FastembedDense", "FastembedLate", "FastembedSparse"]


@dataclass(frozen=True)
class FastembedModel(ABC):
    """What the three kinds of model have in common."""

    model: str
    _: KW_ONLY
    path: str | PathLike[str] | None = None
    threads: int | None = None
    batch_size: int = 32
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    _loaded: Once[Any] = field(default_factory=Once[Any], init=False, repr=False, compare=False)
    _found_size: Once[int] = field(default_factory=Once[int], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if find_spec("fastembed") is None:
            raise MissingExtra(type(self).__name__, "fastembed")
        for name in self._counts():
            value = getattr(self, name)
            if value is not None and not is_whole(value, 1):
                raise StrategyError(f"the {name} of {type(self).__name__} must be a whole number of at least 1, got {value!r}")

    @property
    def is_own(self) -> bool:
        """Whether it is a model of the user's own, in a folder, so that its name says nothing of what it computes."""
        return self.path is not None and self.model.lower() not in self._known()

    def _counts(self) -> tuple[str, ...]:
        """The arguments that count something."""
        return "batch_size", "threads"

    @abstractmethod
    def _class(self) -> Any:
        """The fastembed class that runs the model."""

    def _name(self) -> str:
        """What fastembed knows the model as.

        Raises:
            StrategyError: it doesn't know it.
        """
        return str(self._description()["model"])

    def _description(self) -> Mapping[str, Any]:
        """What fastembed says of the model. Raises as `_name` does."""
        known = self._known()
        found = known.get(self.model.lower())
        if found is None:
            names = sorted(entry["model"] for entry in known.values())
            hint = did_you_mean(self.model, names) or f"; it has {', '.join(names)}"
            raise StrategyError(f"fastembed has no model {self.model!r} for {type(self).__name__}{self._remedy}{hint}")
        return found

    def _known(self) -> dict[str, Mapping[str, Any]]:
        """The models that fastembed has, by name in lower case, as it doesn't mind the case."""
        entries: list[Mapping[str, Any]] = self._class().list_supported_models()
        return {entry["model"].lower(): entry for entry in entries if not is_registered_here(entry["model"])}

    _remedy: ClassVar[str] = ""

    def _load(self) -> Any:
        arguments = dict(self.options)
        if self.threads is not None:  # even None would make a static model warn that it has no threads
            arguments["threads"] = self.threads
        if self.path is not None:
            arguments["specific_model_path"] = self._folder(self.path)
            check_model_file(self.path, self._file(), self.model)
        return self._class()(self._name(), **arguments)

    def _file(self) -> str:
        """The model's file within its folder."""
        return str(self._description()["model_file"])

    def _folder(self, path: str | PathLike[str]) -> str:
        if not Path(path).is_dir():
            raise StrategyError(f"path={fspath(path)!r} is no folder: it must hold the files of {self.model!r}")
        return fspath(path)

    def _embed(self, texts: Sequence[str]) -> list[Any]:
        return list(self._loaded.get(self._load).embed(list(texts), batch_size=self.batch_size))

    def _embed_query(self, text: str) -> Any:
        return next(iter(self._loaded.get(self._load).query_embed(text)))


@dataclass(frozen=True)
class FastembedDense(FastembedModel):
    """One dense vector for each text.

    Args:
        model: fastembed's name for it; any name for a model of your own, together with `path`.
        path: a local folder with the model's files, so that nothing is downloaded: `model.onnx`, `tokenizer.json` and
            `tokenizer_config.json` (which has to say `model_max_length`).
        threads: processor threads; onnxruntime's choice if None.
        batch_size: how many texts the model reads at a time. Models quantised to 8 bits give a text a slightly
            different vector beside other texts: with 1 it is always the same.
        options: further arguments of `fastembed.TextEmbedding`, e.g. `{"cache_dir": …}`.
        max_length: tokens after which texts are cut; the model's own limit if None.
        pooling: of a model of your own, how token vectors become one: "mean", "cls", "last_token", or "disabled" if the
            model does that itself.
        normalize: of a model of your own, whether vectors are brought to length 1.
        model_file: of a model of your own, the model's file within `path`.

    Raises:
        MissingExtra: the `fastembed` extra isn't installed.
        StrategyError: an argument is wrong; at first use also: fastembed doesn't know the model.
    """

    model: str = "BAAI/bge-small-en-v1.5"
    _: KW_ONLY
    max_length: int | None = None
    pooling: Pooling = "mean"
    normalize: bool = True
    model_file: str = "model.onnx"

    kind: ClassVar[Kind] = "dense"
    _remedy = " (a model of your own needs path=)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in POOLINGS:
            raise StrategyError(f"pooling is one of {', '.join(POOLINGS)}; got {self.pooling!r}")

    @property
    def size(self) -> int:
        """Numbers in a vector. A model in a local folder is loaded to find out."""
        if self.path is None:
            return int(self._description()["dim"])
        return self._found_size.get(lambda: len(self.encode_query("size")))

    def encode_query(self, text: str) -> list[float]:
        numbers: list[float] = self._embed_query(text).tolist()
        return numbers

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [vector.tolist() for vector in self._embed(texts)]

    def _counts(self) -> tuple[str, ...]:
        return *super()._counts(), "max_length"

    def _class(self) -> Any:
        from fastembed import TextEmbedding

        return TextEmbedding

    def _name(self) -> str:
        if not self.is_own:
            return super()._name()
        return registered(self.model, self.model_file, self.pooling, self.normalize)

    def _file(self) -> str:
        return self.model_file if self.is_own else super()._file()

    def _load(self) -> Any:
        loaded = super()._load()
        if self.max_length is not None:  # fastembed takes the limit from tokenizer_config.json alone
            tokenizer = loaded.model.tokenizer
            direction = (tokenizer.truncation or {}).get("direction", "right")
            tokenizer.enable_truncation(max_length=self.max_length, direction=direction)
        return loaded


@dataclass(frozen=True)
class FastembedSparse(FastembedModel):
    """One sparse vector for each text: BM25, SPLADE, miniCOIL.

    Args:
        model: fastembed's name for it.
        path, threads, batch_size: as for `FastembedDense`.
        options: further arguments of `fastembed.SparseTextEmbedding`, e.g. `{"language": "german"}` for "Qdrant/bm25".

    Raises:
        MissingExtra: the `fastembed` extra isn't installed.
        StrategyError: an argument is wrong; at first use also: fastembed doesn't know the model.
    """

    model: str = "Qdrant/bm25"

    kind: ClassVar[Kind] = "sparse"

    @property
    def idf(self) -> bool:
        """Whether the model leaves the weighing of words by rarity to Qdrant."""
        return bool(self._description().get("requires_idf"))

    def encode_query(self, text: str) -> models.SparseVector:
        return _sparse(self._embed_query(unicodedata.normalize("NFC", text)))

    def encode_documents(self, texts: Sequence[str]) -> list[models.SparseVector]:
        return [_sparse(vector) for vector in self._embed([unicodedata.normalize("NFC", text) for text in texts])]

    def _class(self) -> Any:
        from fastembed import SparseTextEmbedding

        return SparseTextEmbedding


@dataclass(frozen=True)
class FastembedLate(FastembedModel):
    """One vector for each token of a text, for late interaction (ColBERT).

    Args:
        model: fastembed's name for it.
        path, threads, batch_size: as for `FastembedDense`.
        options: further arguments of `fastembed.LateInteractionTextEmbedding`.

    Raises:
        MissingExtra: the `fastembed` extra isn't installed.
        StrategyError: an argument is wrong; at first use also: fastembed doesn't know the model.
    """

    model: str = "answerdotai/answerai-colbert-small-v1"

    kind: ClassVar[Kind] = "multi"

    @property
    def size(self) -> int:
        """Numbers in each token's vector. A model in a local folder is loaded to find out."""
        if self.path is None:
            return int(self._description()["dim"])
        return self._found_size.get(lambda: len(self.encode_query("size")[0]))

    def encode_query(self, text: str) -> list[list[float]]:
        rows: list[list[float]] = self._embed_query(text).tolist()
        return rows

    def encode_documents(self, texts: Sequence[str]) -> list[list[list[float]]]:
        return [vectors.tolist() for vectors in self._embed(texts)]

    def _class(self) -> Any:
        from fastembed import LateInteractionTextEmbedding

        return LateInteractionTextEmbedding


def _sparse(vector: Any) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())

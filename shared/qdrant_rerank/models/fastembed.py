"""Models that fastembed runs on this machine: dense, sparse, late interaction and cross-encoders; the user's own, too.

Nothing is loaded before first use.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from importlib.util import find_spec
from os import PathLike, fspath
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Final, Literal, TypeAlias

from qdrant_client import models

from ..errors import MissingExtra, ScoringError, StrategyError, did_you_mean
from ..schema import Kind
from ..values import is_whole
from .base import check_scores
from .encoders import folder_digest
from .threads import Once, Stopped, Turns

__all__ = [
    "POOLINGS",
    "FastembedCrossEncoder",
    "FastembedDense",
    "FastembedLate",
    "FastembedSparse",
    "Pooling",
    "check_model_file",
    "is_registered_here",
    "register_model",
]

Pooling: TypeAlias = Literal["mean", "cls", "last_token", "disabled"]
POOLINGS: Final[Mapping[Pooling, str]] = {"mean": "MEAN", "cls": "CLS", "last_token": "LAST_TOKEN", "disabled": "DISABLED"}

_PREFIX: Final = "qdrant-rerank/"
_registering: Final = Lock()


def register_model(model: str, model_file: str, pooling: Pooling, normalize: bool) -> str:
    """The name that fastembed knows the model by from now on.

    The registry keeps a name's settings for as long as the process runs, so they are part of the name.
    """
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    embedding: Any = TextEmbedding
    name = f"{_PREFIX}{model} ({model_file}, {pooling}, {'normalized' if normalize else 'as it is'})"
    with _registering:
        if all(entry["model"].lower() != name.lower() for entry in embedding.list_supported_models()):
            embedding.add_custom_model(
                model=name,
                pooling=PoolingType[POOLINGS[pooling]],
                normalization=normalize,
                sources=ModelSource(hf="local/none"),  # never asked, as the path is always given
                dim=1,  # only reported by fastembed, and not known before the model is loaded
                model_file=model_file,
            )
    return name


def check_model_file(folder: str | PathLike[str], file: str, model: str) -> None:
    """Refuse a model's folder without the model.

    Raises:
        StrategyError: the file isn't in it; the message lists the models that are.
    """
    root = Path(folder)
    if (root / file).is_file() or not file.endswith(".onnx"):  # what is no network, such as BM25, checks its files itself
        return
    there = [each.relative_to(root).as_posix() for each in sorted(root.rglob("*.onnx"))]
    own = f", which is a model of your own (under any other name) with model_file={there[0]!r}" if there else ""
    hint = f"it has {', '.join(there) or 'no .onnx file'}{own}"
    raise StrategyError(f"the folder {str(root)!r} has no {file}, the file of {model!r}; {hint}")


def is_registered_here(name: str) -> bool:
    """Whether `name` is one that `register_model` made."""
    return name.startswith(_PREFIX)


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
        return register_model(self.model, self.model_file, self.pooling, self.normalize)

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


@dataclass(frozen=True)
class FastembedCrossEncoder(FastembedModel):
    """A reranker whose scores are a cross-encoder's raw output (logits): any real number, higher is better.

    An empty text is scored like any other, and a text longer than `max_length` is cut, both by the model. However many
    threads and coroutines ask, there is one model in memory, and `parallel` scorings at a time; the others wait in line.

    Args:
        model: fastembed's name for it; any name for a model of your own, together with `path`.
        path: a local folder with the model's files, so that nothing is downloaded: the model, `tokenizer.json` and
            `tokenizer_config.json` (which has to say `model_max_length`). What is in it tells the model from others, not
            what it or the folder is called.
        threads: processor threads of one scoring; onnxruntime's choice (all cores) if None.
        batch_size: how many texts the model reads at a time. On a processor 1 is fastest, as no text is padded to the
            length of another, and a text's score never depends on the other texts (it does for models quantised to 8
            bits, by up to a few tenths); on a GPU take 32 or more.
        options: further arguments of `fastembed.rerank.cross_encoder.TextCrossEncoder`, e.g. `{"cache_dir": …}`.
        max_length: tokens after which query and text together are cut; the model's own limit if None.
        model_file: of a model of your own, the model's file within `path`.
        parallel: how many scorings run at a time.

    Raises:
        MissingExtra: the `fastembed` extra isn't installed.
        StrategyError: an argument is wrong; at first use also: fastembed doesn't know the model.
    """

    model: str = "Xenova/ms-marco-MiniLM-L-6-v2"
    _: KW_ONLY
    batch_size: int = 1
    max_length: int | None = None
    model_file: str = "model.onnx"
    parallel: int = 1
    _turns: Turns = field(init=False, repr=False, compare=False)
    _digest: Once[str] = field(default_factory=Once[str], init=False, repr=False, compare=False)

    _remedy = " (a model of your own needs path=)"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_turns", Turns(self.parallel))

    @property
    def fingerprint(self) -> str:
        """The model by its name, or by its folder's contents, which are read once, and its file; and its `max_length`."""
        which = self.model
        if self.path is not None:
            folder = self._folder(self.path)
            which = f"{self._digest.get(lambda: folder_digest(folder))}/{self._file()}"
        return f"fastembed-cross-encoder:{which}:max_length={self.max_length}"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One logit for each text, in the order of the texts.

        Raises:
            ScoringError: the model's output is not finite.
        """
        return self._turns.run(lambda stopped: self._scores(query, texts, stopped))

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, in a thread of the model's own. Cancelled, it ends after the batch that it is at."""
        return await self._turns.arun(lambda stopped: self._scores(query, texts, stopped))

    def _scores(self, query: str, texts: Sequence[str], stopped: Stopped) -> list[float]:
        if not texts:
            return []  # nothing to load a model for
        model = self._loaded.get(self._load)
        order = range(len(texts)) if self.batch_size == 1 else sorted(range(len(texts)), key=lambda place: len(texts[place]))
        scores: dict[int, float] = {}
        for start in range(0, len(texts), self.batch_size):
            if stopped.is_set():
                return []  # to nobody
            places = order[start : start + self.batch_size]  # of similar length, so that little is padded
            batch = model.rerank(query, [texts[place] for place in places], batch_size=len(places))
            scores |= zip(places, batch, strict=True)
        return check_scores([scores[place] for place in range(len(texts))], len(texts), self)

    def _counts(self) -> tuple[str, ...]:
        return *super()._counts(), "max_length", "parallel"

    def _class(self) -> Any:
        from fastembed.rerank.cross_encoder import TextCrossEncoder

        return TextCrossEncoder

    @property
    def is_own(self) -> bool:
        """Whether it is a model of the user's own: its name isn't fastembed's, or the folder lacks that name's file."""
        if super().is_own or self.path is None:
            return self.path is not None
        return not (Path(self.path) / super()._file()).is_file() and (Path(self.path) / self.model_file).is_file()

    def _name(self) -> str:
        return _registered(self._class(), self.model, self.model_file) if self.is_own else super()._name()

    def _file(self) -> str:
        return self.model_file if self.is_own else super()._file()

    def _load(self) -> Any:
        loaded = super()._load()
        _check_output(loaded, self.model)
        if self.max_length is not None:  # fastembed takes the limit from tokenizer_config.json alone
            tokenizer = loaded.model.tokenizer
            direction = (tokenizer.truncation or {}).get("direction", "right")
            tokenizer.enable_truncation(max_length=self.max_length, direction=direction)
        return loaded


def _check_output(loaded: Any, model: str) -> None:
    """Refuse a model whose output isn't one number for each pair, as far as it says so before it is run.

    Raises:
        ScoringError: it is something else, of which fastembed would take the first number, or nothing.
    """
    session = getattr(loaded.model, "model", None)  # none yet with the option lazy_load
    shape = [] if session is None else session.get_outputs()[0].shape
    if len(shape) > 2 or any(isinstance(size, int) and size != 1 for size in shape[1:]):
        raise ScoringError(
            f"{model!r} returns an array of shape {tuple(shape)} instead of one number for each pair of query and text: it is "
            "no cross-encoder; an embedding model scores texts within EncoderSimilarity(FastembedDense(…))"
        )


def _registered(cross_encoder: Any, model: str, model_file: str) -> str:
    """The name that fastembed knows a model of the user's own by from now on."""
    from fastembed.common.model_description import ModelSource

    name = f"qdrant-rerank/{model} ({model_file})"
    assert is_registered_here(name)
    with _registering:
        if all(entry["model"].lower() != name.lower() for entry in cross_encoder.list_supported_models()):
            source = ModelSource(hf="local/none")  # never asked, as the path is always given
            cross_encoder.add_custom_model(model=name, sources=source, model_file=model_file)
    return name

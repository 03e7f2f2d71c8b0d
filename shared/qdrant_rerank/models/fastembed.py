"""Models that fastembed runs on this machine: dense, sparse, late interaction and cross-encoders; the user's own, too.

Nothing is loaded before first use.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field, replace
from importlib.util import find_spec
from itertools import chain
from os import PathLike, fspath
from pathlib import Path
from pkgutil import resolve_name
from threading import Lock
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

from qdrant_client import models

from ..errors import MissingExtra, ScoringError, StrategyError, did_you_mean
from ..schema import Kind
from ..values import folder_digest
from .base import Gate, Once, Stopped, check_scores, check_whole

Pooling: TypeAlias = Literal["mean", "cls", "last_token", "disabled"]
POOLINGS: Final[Mapping[Pooling, str]] = {"mean": "MEAN", "cls": "CLS", "last_token": "LAST_TOKEN", "disabled": "DISABLED"}

_PREFIX: Final = "qdrant-rerank/"  # of the names that fastembed knows users' own models by
_registering: Final = Lock()
_ELSEWHERE: Final = {"cuda", "device_ids", "providers"}  # options by which a model may run on a GPU
_LOADED: Final = {"threads", "lazy_load"}  # options that say how it is loaded
_TEXTS_AT_A_TIME: Final = 256  # whose tokens are counted
_BATCHES_AT_A_TIME: Final = 4  # at most, as each has memory of its own
_TOKENS_AT_A_TIME: Final = 512  # measured on processors by benchmarks/encoding.py: more takes longer, and memory


def check_model_file(folder: str | PathLike[str], file: str, model: str) -> None:
    """Refuse a model's folder without the model.

    Raises StrategyError: the file isn't in it; the message lists the models that are.
    """
    root = Path(folder)
    if (root / file).is_file() or not file.endswith(".onnx"):  # what is no network, such as BM25, checks its files itself
        return
    there = [each.relative_to(root).as_posix() for each in sorted(root.rglob("*.onnx"))]
    own = f", which is a model of your own (under any other name) with model_file={there[0]!r}" if there else ""
    hint = f"it has {', '.join(there) or 'no .onnx file'}{own}"
    raise StrategyError(f"the folder {str(root)!r} has no {file}, the file of {model!r}; {hint}")


@dataclass(frozen=True)
class FastembedModel(ABC):
    """What the four kinds of model have in common."""

    model: str
    _: KW_ONLY
    path: str | PathLike[str] | None = None
    threads: int | None = None
    batch_size: int = 32
    parallel: int = 1
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    _loaded: Once[Any] = field(default_factory=Once[Any], init=False, repr=False, compare=False)
    _found_size: Once[int] = field(default_factory=Once[int], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if find_spec("fastembed") is None:
            raise MissingExtra(type(self).__name__, "fastembed")
        check_whole(self, **{name: getattr(self, name) for name in self._counts})

    @property
    def is_own(self) -> bool:
        """Whether it is a model of the user's own, in a folder, so that its name says nothing of what it computes."""
        return self.path is not None and self.model.lower() not in self._list_models()

    _counts: ClassVar[tuple[str, ...]] = ("batch_size", "threads", "parallel")
    """The arguments that count something."""

    _runs_by: ClassVar[str]
    """The fastembed class that runs the model."""

    def _class(self) -> Any:
        return resolve_name(self._runs_by)

    def _name(self) -> str:
        """Fastembed's name of the model."""
        return str(self._description()["model"])

    def _description(self) -> Mapping[str, Any]:
        """Fastembed's description of the model. Raises as `_name`."""
        known = self._list_models()
        found = known.get(self.model.lower())
        if found is None:
            names = sorted(entry["model"] for entry in known.values())
            hint = did_you_mean(self.model, names) or f"; it has {', '.join(names)}"
            raise StrategyError(f"fastembed has no model {self.model!r} for {type(self).__name__}{self._remedy}{hint}")
        return found

    def _list_models(self) -> dict[str, Mapping[str, Any]]:
        """The models that fastembed has, by name in lower case, as it doesn't mind the case."""
        entries: list[Mapping[str, Any]] = self._class().list_supported_models()
        return {entry["model"].lower(): entry for entry in entries if not entry["model"].startswith(_PREFIX)}

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
        """What the model makes of the texts, in their order.

        Texts of similar length go together, so that little is padded; on a processor at most `_TOKENS_AT_A_TIME` with the
        padding: more is no faster, and 32 texts of 512 tokens take gigabytes.
        """
        loaded = self._loaded.get(self._load)
        most = sys.maxsize if self.options.keys() & _ELSEWHERE else _TOKENS_AT_A_TIME

        def embed(places: list[int]) -> list[tuple[int, Any]]:
            batch = [texts[place] for place in places]
            return list(zip(places, loaded.embed(batch, batch_size=len(batch)), strict=True))

        batches = [*batches_of_similar_length(_token_counts(loaded, texts), self.batch_size, most)]
        if min(self.parallel, len(batches)) <= 1:
            found = dict(chain.from_iterable(map(embed, batches)))
        else:
            with ThreadPoolExecutor(self.parallel) as pool:
                try:  # the long ones first, so that none is left alone at the end
                    found = dict(chain.from_iterable(pool.map(embed, batches[::-1])))
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        return [found[place] for place in range(len(texts))]

    def for_documents(self) -> Self:
        """This model, set up to read many documents on a processor: several batches at a time, each by fewer threads.

        Threads that share a batch wait for each other, which takes an eighth more processor time (`benchmarks/encoding.py`).
        Each batch under way takes some 100 MB. A model with threads of its own choice stays as it is.
        """
        chosen = self.threads is not None or self.parallel != 1 or self.options.keys() & (_ELSEWHERE | _LOADED)
        if chosen or not self._file().endswith(".onnx"):
            return self
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        batches = min(cores, _BATCHES_AT_A_TIME)
        return replace(self, threads=round(cores / batches), parallel=batches)

    def _embed_query(self, text: str) -> Any:
        return next(iter(self._loaded.get(self._load).query_embed(text)))

    def _count_numbers(self) -> int:
        if self.path is None:
            return int(self._description()["dim"])
        return self._found_size.get(lambda: int(self._embed_query("size").shape[-1]))


def _token_counts(loaded: Any, texts: Sequence[str]) -> list[int]:
    """How many tokens the model reads of each text; 0 where it has no tokenizer, as BM25, which pads nothing."""
    tokenizer: Any = getattr(loaded.model, "tokenizer", None)
    if not hasattr(tokenizer, "encode_batch"):
        return [0] * len(texts)
    parts = (list(texts[start : start + _TEXTS_AT_A_TIME]) for start in range(0, len(texts), _TEXTS_AT_A_TIME))
    return [sum(encoding.attention_mask) for part in parts for encoding in tokenizer.encode_batch(part)]


def batches_of_similar_length(lengths: Sequence[int], most: int, most_padded: int) -> Iterator[list[int]]:
    """Places of texts in batches, the shortest first: at most `most` texts, padded to the longest of them.

    A batch of several texts has at most `most_padded` tokens, the padding included.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == most or lengths[place] * (len(batch) + 1) > most_padded):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


@dataclass(frozen=True)
class _OwnModel(FastembedModel):
    """What dense models and cross-encoders have in common: they may be the user's own, and cut texts at `max_length`."""

    _: KW_ONLY
    max_length: int | None = None
    model_file: str = "model.onnx"

    _counts: ClassVar[tuple[str, ...]] = ("batch_size", "threads", "parallel", "max_length")
    _remedy = " (a model of your own needs path=)"

    def _name(self) -> str:
        if not self.is_own:
            return super()._name()
        from fastembed.common.model_description import ModelSource

        settings, registered = self._registration()
        name = f"{_PREFIX}{self.model} ({registered})"  # the registry keeps a name's settings as long as the process runs
        source = ModelSource(hf="local/none")  # never asked, as the path is always given
        with _registering:
            if all(entry["model"].lower() != name.lower() for entry in self._class().list_supported_models()):
                self._class().add_custom_model(model=name, sources=source, model_file=self.model_file, **settings)
        return name

    @abstractmethod
    def _registration(self) -> tuple[dict[str, Any], str]:
        """What fastembed must know of a user's own model beside its file, and the same as a part of its name."""

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
class FastembedDense(_OwnModel):
    """One dense vector for each text.

    Args:
        model: fastembed's name for it; any name for a model of your own, together with `path`.
        path: a local folder with the model's files, so that nothing is downloaded: `model.onnx`, `tokenizer.json` and
            `tokenizer_config.json` (which has to say `model_max_length`).
        threads: processor threads; onnxruntime's choice if None.
        batch_size: how many texts the model reads at a time, at most: those of similar length together, and no more than 512
            tokens with the padding, unless `options` have it run on a GPU. Models quantised to 8 bits give a text a slightly
            different vector beside other texts: with 1 it is always the same.
        parallel: how many batches of documents are read at a time; see `for_documents`.
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
    pooling: Pooling = "mean"
    normalize: bool = True

    kind: ClassVar[Kind] = "dense"
    _runs_by = "fastembed:TextEmbedding"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in POOLINGS:
            raise StrategyError(f"pooling is one of {', '.join(POOLINGS)}; got {self.pooling!r}")

    @property
    def size(self) -> int:
        """Numbers in a vector. A model in a local folder is loaded to find out."""
        return self._count_numbers()

    def encode_query(self, text: str) -> list[float]:
        numbers: list[float] = self._embed_query(text).tolist()
        return numbers

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [vector.tolist() for vector in self._embed(texts)]

    def _registration(self) -> tuple[dict[str, Any], str]:
        from fastembed.common.model_description import PoolingType

        # the dim is only reported by fastembed, and not known before the model is loaded
        settings = {"pooling": PoolingType[POOLINGS[self.pooling]], "normalization": self.normalize, "dim": 1}
        return settings, f"{self.model_file}, {self.pooling}, {'normalized' if self.normalize else 'as it is'}"


@dataclass(frozen=True)
class FastembedSparse(FastembedModel):
    """One sparse vector for each text: BM25, SPLADE, miniCOIL.

    Args:
        model: fastembed's name for it.
        path, threads, batch_size, parallel: as for `FastembedDense`.
        options: further arguments of `fastembed.SparseTextEmbedding`, e.g. `{"language": "german"}` for "Qdrant/bm25".

    Raises as `FastembedDense`.
    """

    model: str = "Qdrant/bm25"

    kind: ClassVar[Kind] = "sparse"
    _runs_by = "fastembed:SparseTextEmbedding"

    @property
    def idf(self) -> bool:
        """Whether the model leaves the weighing of words by rarity to Qdrant."""
        return bool(self._description().get("requires_idf"))

    def encode_query(self, text: str) -> models.SparseVector:
        return _sparse(self._embed_query(unicodedata.normalize("NFC", text)))

    def encode_documents(self, texts: Sequence[str]) -> list[models.SparseVector]:
        return [_sparse(vector) for vector in self._embed([unicodedata.normalize("NFC", text) for text in texts])]


@dataclass(frozen=True)
class FastembedLate(FastembedModel):
    """One vector for each token of a text, for late interaction (ColBERT).

    Args:
        model: fastembed's name for it.
        path, threads, batch_size, parallel: as for `FastembedDense`.
        options: further arguments of `fastembed.LateInteractionTextEmbedding`.

    Raises as `FastembedDense`.
    """

    model: str = "answerdotai/answerai-colbert-small-v1"

    kind: ClassVar[Kind] = "multi"
    _runs_by = "fastembed:LateInteractionTextEmbedding"

    @property
    def size(self) -> int:
        """Numbers in each token's vector. A model in a local folder is loaded to find out."""
        return self._count_numbers()

    def encode_query(self, text: str) -> list[list[float]]:
        rows: list[list[float]] = self._embed_query(text).tolist()
        return rows

    def encode_documents(self, texts: Sequence[str]) -> list[list[list[float]]]:
        return [vectors.tolist() for vectors in self._embed(texts)]


def _sparse(vector: Any) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())


@dataclass(frozen=True)
class FastembedCrossEncoder(_OwnModel):
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

    Raises as `FastembedDense`.
    """

    model: str = "Xenova/ms-marco-MiniLM-L-6-v2"
    _: KW_ONLY
    batch_size: int = 1
    _turns: Gate = field(init=False, repr=False, compare=False)
    _digest: Once[str] = field(default_factory=Once[str], init=False, repr=False, compare=False)

    _runs_by = "fastembed.rerank.cross_encoder:TextCrossEncoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_turns", Gate(self.parallel))

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
        """As `score`, in a thread of the model's own. Cancelled, it ends after its batch."""
        return await self._turns.arun(lambda stopped: self._scores(query, texts, stopped))

    def _scores(self, query: str, texts: Sequence[str], stopped: Stopped) -> list[float]:
        if not texts:
            return []  # nothing to load a model for
        model = self._loaded.get(self._load)
        scores: dict[int, float] = {}
        lengths = [0 if self.batch_size == 1 else len(text) for text in texts]
        for places in batches_of_similar_length(lengths, self.batch_size, sys.maxsize):
            if stopped.is_set():
                return []  # to nobody
            batch = model.rerank(query, [texts[place] for place in places], batch_size=len(places))
            scores |= zip(places, batch, strict=True)
        return check_scores([scores[place] for place in range(len(texts))], len(texts), self)

    @property
    def is_own(self) -> bool:
        """Whether it is a model of the user's own: its name isn't fastembed's, or the folder lacks that name's file."""
        if super().is_own or self.path is None:
            return self.path is not None
        folder, file = Path(self.path), str(self._description()["model_file"])
        return not (folder / file).is_file() and (folder / self.model_file).is_file()

    def _registration(self) -> tuple[dict[str, Any], str]:
        return {}, self.model_file

    def _load(self) -> Any:
        loaded = super()._load()
        _check_output(loaded, self.model)
        return loaded


def _check_output(loaded: Any, model: str) -> None:
    """Refuse a model whose output isn't one number for each pair, as far as it says so before it is run."""
    session = getattr(loaded.model, "model", None)  # none yet with the option lazy_load
    shape = [] if session is None else session.get_outputs()[0].shape
    if len(shape) > 2 or any(isinstance(size, int) and size != 1 for size in shape[1:]):
        raise ScoringError(
            f"{model!r} returns an array of shape {tuple(shape)} instead of one number for each pair of query and text: it is "
            "no cross-encoder; an embedding model scores texts within EncoderSimilarity(FastembedDense(…))"
        )

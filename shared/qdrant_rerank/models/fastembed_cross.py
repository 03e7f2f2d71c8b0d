"""Cross-encoders that fastembed runs on this machine: they read query and text together. Nothing is loaded before first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from ..errors import ScoringError
from .fastembed import FastembedModel
from .fastembed_custom import is_registered_here
from .fingerprints import folder_digest
from .once import Once
from .scores import checked
from .turns import Stopped, Turns

__all__ = ["FastembedCrossEncoder"]

_registering: Final = Lock()


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
        return checked([scores[place] for place in range(len(texts))], len(texts), self)

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

"""Models by name, as the command line takes them: `reranker("cohere:rerank-v3.5")`, `encoder("minilm")`.

| name | stands for |
|---|---|
| `hash`, `bm25` | what is computed here without any model: `HashedNgrams`, `Bm25` |
| `minilm`, `bm42`, `colbert` | a model of fastembed with a short name; as a reranker, `minilm` is a cross-encoder |
| `ORGANISATION/NAME`, also after `fastembed:` | a model of fastembed, downloaded at first use |
| `NAME@DIR` | the same from a folder |
| `cross-encoder:DIR` | a reranker of your own in a folder |
| `cohere:NAME` | a model of Cohere's, which reads CO_API_KEY or COHERE_API_KEY of the environment at first use |
| `server:NAME`, `server:NAME:SIZE` | an encoder that the Qdrant server runs |
| `python:MODULE:NAME` | a model in your own code, which is imported: see `_load_own` |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final, TypeVar

from ..errors import StrategyError, did_you_mean
from ..schema import Kind
from .base import Reranker
from .encoders import Bm25, Encoder, HashedNgrams, ServerInference, as_encoder

_SHORT: Final[Mapping[Kind, Mapping[str, str]]] = {
    "dense": {"hash": "hash", "minilm": "sentence-transformers/all-MiniLM-L6-v2"},
    "sparse": {"bm25": "bm25", "bm42": "Qdrant/bm42-all-minilm-l6-v2-attentions"},
    "multi": {"colbert": "answerdotai/answerai-colbert-small-v1"},
}
_RERANKERS: Final = {"minilm": "Xenova/ms-marco-MiniLM-L-6-v2"}
OWN: Final = "python:"
_SOURCES: Final = ("cohere", "fastembed", "cross-encoder", "python", *_RERANKERS)
_FORMS: Final = (
    "cohere:rerank-v3.5, fastembed:Xenova/ms-marco-MiniLM-L-6-v2, NAME@DIR for one of fastembed's in a folder, "
    f"cross-encoder:DIR for one of your own, python:MODULE:NAME for one in your code, and {', '.join(_RERANKERS)}"
)

M = TypeVar("M")


def reranker(name: str, **options: Any) -> Reranker:
    """The reranker of that name; nothing is loaded or downloaded before it scores.

    Args:
        name: `cohere:NAME`, a cross-encoder of fastembed (`ORGANISATION/NAME`, also `@DIR`), `cross-encoder:DIR` for one of
            your own, `minilm`, or `python:MODULE:NAME`, which runs your code: a reranker, what makes one, or a function.
        options: further arguments of `CohereReranker` or `FastembedCrossEncoder`, e.g. `timeout=5.0`, `batch_size=1`, or of
            what makes your own.

    Raises:
        StrategyError: there is no such model, or no such folder.
        MissingExtra: it needs an optional dependency.
    """
    if name.startswith(OWN):
        from .wrappers import as_reranker

        return _load_own(name, options, as_reranker)
    source, colon, rest = _RERANKERS.get(name, name).partition(":")
    if source == "cohere" and rest:
        from .cohere import CohereReranker

        return CohereReranker(rest, **options)
    from .fastembed import FastembedCrossEncoder

    if source == "cross-encoder" and rest:
        folder = _folder(name, rest)
        return FastembedCrossEncoder(folder.name or "own", path=folder, **options)
    model, at, place = (rest if source == "fastembed" else source).partition("@")
    if "/" in model and (not colon or source == "fastembed"):
        return FastembedCrossEncoder(model, path=_folder(name, place) if at else None, **options)
    raise StrategyError(f"{name}: no such model{did_you_mean(source, _SOURCES)}; there are {_FORMS}")


def encoder(name: str, kind: Kind | None = None, **options: Any) -> Encoder:
    """The encoder of that name; nothing is loaded or downloaded before it embeds.

    Args:
        name: `hash`, `bm25`, `minilm`, `bm42`, `colbert`, a model of fastembed (`ORGANISATION/NAME`, also `@DIR`),
            `cohere:NAME`, `server:NAME` with the size of dense vectors after another colon, or `python:MODULE:NAME`, which
            runs your code: an encoder, what makes one, or a function.
        kind: of its vectors: "dense", "sparse" or "multi"; where the name doesn't tell, "dense" if None.
        options: further arguments of its class, e.g. `batch_size=8`.

    Raises:
        StrategyError: there is no such model, or no such folder.
        MissingExtra: it needs an optional dependency.
    """
    if name.startswith(OWN):
        return _load_own(name, options, as_encoder)
    made = full_name(name, kind)
    source, _, rest = made.partition(":")
    match source:
        case "hash":
            return HashedNgrams(**options)
        case "bm25":
            return Bm25(**options)
        case "cohere":
            from .cohere import CohereEncoder

            return CohereEncoder(rest, **options)
        case "server":
            return _on_server(rest, kind or "dense", options)
        case _:
            model, _, folder = made.partition("@")
            return _of_fastembed(model, folder, kind, options)


def full_name(name: str, kind: Kind | None = None) -> str:
    """An encoder's full name: short names spelled out, folders absolute.

    Raises StrategyError: there is no such model of this kind, or no such folder.
    """
    kinds: Iterable[Kind] = [kind] if kind else _SHORT
    short = {each: full for one in kinds for each, full in _SHORT[one].items()}
    if name in short:
        return short[name]
    source, _, rest = name.partition(":")
    if name.startswith(OWN) or (rest and (source == "server" or (source == "cohere" and kind in (None, "dense")))):
        return name
    model, at, place = name.removeprefix("fastembed:").partition("@")
    if at:
        return f"{model}@{_folder(name, place)}"
    if "/" not in model:
        known = ", ".join(
            [*short, "fastembed's models", "NAME@DIR for one in a folder", "cohere:NAME, server:NAME and python:MODULE:NAME"]
        )
        raise StrategyError(f"{name}: no such model{did_you_mean(name, short)} (there are {known})")
    return model


def _load_own(name: str, options: Mapping[str, Any], check: Callable[[Any], M]) -> M:
    """Load the model that `python:MODULE:NAME` names: an object, what makes one without further arguments, or a function.

    It runs code, so its name must come from who starts the program, and never from a file, a collection or a request.
    """
    module, _, path = name.removeprefix(OWN).partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *path.split(".")]):
        raise StrategyError(f"{name}: write python:MODULE:NAME, e.g. python:my_models:embed")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):  # else a module that it imports is missing
            raise StrategyError(f"{name}: there is no module {error.name!r}") from error
        raise
    for part in path.split("."):
        if not hasattr(found, part):
            where = getattr(found, "__file__", None) or type(found).__name__
            raise StrategyError(f"{name}: {where} has no {part!r}{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    try:
        signature(found).bind(**options)
        is_made = True
    except (TypeError, ValueError) as error:  # not to be called, or with more: a function of texts
        is_made = False
        if isinstance(found, type) or options:
            raise StrategyError(f"{name} can't be called so: {error}") from error
    try:
        return check(found(**options) if is_made else found)
    except StrategyError as error:
        raise StrategyError(f"{name}: {error}") from error


def _folder(name: str, place: str) -> Path:
    if not Path(place).is_dir():
        raise StrategyError(f"{name}: there is no folder {place!r}")
    return Path(place).resolve()


def _on_server(model: str, kind: Kind, options: Mapping[str, Any]) -> Encoder:
    name, colon, size = model.rpartition(":")
    if colon and size.isdecimal():
        return ServerInference(name, kind=kind, size=int(size), **options)
    return ServerInference(model, kind=kind, idf="bm25" in model.lower() if kind == "sparse" else None, **options)


def _of_fastembed(model: str, folder: str, kind: Kind | None, options: Mapping[str, Any]) -> Encoder:
    from .fastembed import FastembedDense, FastembedLate, FastembedSparse

    classes: dict[Kind, Callable[..., Any]] = {"dense": FastembedDense, "sparse": FastembedSparse, "multi": FastembedLate}

    def known_as() -> Kind:
        """The kind that fastembed has a model of this name for; another one is the user's own."""
        for each, made in classes.items():
            if not made(model, path=folder or ".").is_own:
                return each
        return "dense"

    found: Encoder = classes[known_as() if kind is None else kind](model, path=folder or None, **options)
    return found

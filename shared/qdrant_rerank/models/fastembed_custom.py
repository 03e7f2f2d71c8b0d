"""Makes a model of the user's own known to fastembed, which runs only models that are in its registry."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

from ..errors import StrategyError

__all__ = ["POOLINGS", "Pooling", "check_model_file", "is_registered_here", "registered"]

Pooling: TypeAlias = Literal["mean", "cls", "last_token", "disabled"]
POOLINGS: Final[Mapping[Pooling, str]] = {"mean": "MEAN", "cls": "CLS", "last_token": "LAST_TOKEN", "disabled": "DISABLED"}

_PREFIX: Final = "qdrant-rerank/"
_registering: Final = Lock()


def registered(model: str, model_file: str, pooling: Pooling, normalize: bool) -> str:
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
    """Whether `name` is one that `registered` made."""
    return name.startswith(_PREFIX)

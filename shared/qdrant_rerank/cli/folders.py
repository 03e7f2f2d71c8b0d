"""A Qdrant in a folder, of either engine that runs in this process: what is in the folder decides which can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from qdrant_client import QdrantClient

from .failures import CommandError

__all__ = ["has_edge", "opened", "written_by"]

_LOCAL = "meta.json"  # what local mode keeps in the folder of a Qdrant
_EDGE = "segments"  # what qdrant-edge keeps in the folder of a collection


def has_edge() -> bool:
    """Whether the embedded Rust engine is installed."""
    try:
        import qdrant_edge  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        return False
    return True


def written_by(folder: Path) -> Literal["local", "edge"] | None:
    """The engine that filled a folder: qdrant-client's local mode, or qdrant-edge; None if neither did."""
    if (folder / _LOCAL).exists():
        return "local"
    if not folder.is_dir():
        return None
    return "edge" if _is_collection(folder) or any(map(_is_collection, folder.iterdir())) else None


def _is_collection(folder: Path) -> bool:
    return (folder / _EDGE).is_dir()


def opened(folder: Path, is_edge: bool, create: bool) -> QdrantClient:
    """A client of the engine that the user asked for.

    Args:
        folder: as the option says.
        is_edge: whether the option is `--edge`; else it is `--path`.
        create: whether the folder may be made, or a folder that is empty be used.

    Raises:
        CommandError: the folder holds no Qdrant, or the other engine's, or another process has it open.
        MissingExtra: qdrant-edge isn't installed.
    """
    option, other = ("--edge", "--path") if is_edge else ("--path", "--edge")
    found = written_by(folder)
    if found is None:  # an engine would make a Qdrant wherever it is pointed at
        _check_usable(folder, option, create)
    elif found != ("edge" if is_edge else "local"):
        writer = "qdrant-edge" if found == "edge" else "qdrant-client's local mode"
        raise CommandError(f"{folder} was written by {writer}: read it with {other} {folder}, or index into another folder")
    return _edge(folder) if is_edge else _local(folder)


def _check_usable(folder: Path, option: str, create: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file; {option} takes a folder")
    if not create:
        what = "holds no Qdrant collections" if folder.exists() else "doesn't exist"
        raise CommandError(f"{folder} {what}: give the folder that qdrant-rerank index CORPUS.jsonl {option} DIR filled")
    if folder.exists() and any(folder.iterdir()):
        raise CommandError(f"{folder} holds other files and no Qdrant: give an empty folder, or one that doesn't exist yet")


def _local(folder: Path) -> QdrantClient:
    try:
        return QdrantClient(path=str(folder))
    except RuntimeError as error:  # another process has it open
        raise CommandError(f"{folder} can't be opened: {error}") from error


def _edge(folder: Path) -> QdrantClient:
    from ..edge import EdgeClient

    return EdgeClient(folder, collection=folder.name if _is_collection(folder) else None)

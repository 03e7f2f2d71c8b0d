"""Files that a command is to write: whether they can be written is known before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from .failures import CommandError

__all__ = ["check_folder", "check_output"]


def check_output(option: str, path: Path | None) -> None:
    """Refuse a file that can't be written.

    Raises:
        CommandError: its folder isn't there, it is a folder itself, or it may not be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise CommandError(f"{option} {path}: this is a folder: name a file in it")
    if not path.parent.is_dir():
        raise CommandError(f"{option} {path}: there is no folder {str(path.parent)!r} to write it to")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(f"{option} {path}: it may not be written to")


def check_folder(option: str, path: Path | None) -> None:
    """Refuse a folder that can't be made, or written to.

    Raises:
        CommandError: it or a part of its path is a file, or it may not be written to.
    """
    if path is None:
        return
    there = next(part for part in (path.absolute(), *path.absolute().parents) if part.exists())
    if not there.is_dir():
        raise CommandError(f"{option} {path}: {there} is a file: name a folder")
    if not os.access(there, os.W_OK):
        raise CommandError(f"{option} {path}: {there} may not be written to")

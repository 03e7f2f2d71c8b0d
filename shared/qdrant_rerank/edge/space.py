"""Room on the disk: the engine writes through mapped files, where a full disk is a signal that ends the process.

So no change is begun that might not fit. A reserve stays free, for what is written meanwhile by others and when the
collection is closed; a change takes several times what it brings, as it goes to the log, to the segments, and to a segment's
new pages before the old ones are free.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..errors import EngineError

__all__ = ["OPENING", "RESERVE", "Disk", "check_room", "disk_of", "used_by"]

RESERVE: Final = 64 * 2**20
"""Bytes that stay free after every change."""

OPENING: Final = 32 * 2**20
"""Bytes that must be free to open a collection: fewer, so that one which was filled up to the reserve can be read."""

Disk = Callable[[Path], Any]
"""Tells the `used` and the `free` bytes of the disk that a folder is on."""


def disk_of(folder: Path) -> Any:
    """The disk that `folder` is on, or will be when it is made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder)


def check_room(free: int, needed: int, what: str, folder: Path) -> None:
    """Refuse what might not fit.

    Raises:
        EngineError: says how much room is missing.
    """
    if free < needed:
        raise EngineError(
            f"{what} needs {_mega(needed)} free on the disk of {folder}, which has {_mega(free)}: the engine ends the process "
            "when the disk is full, so nothing was begun. Make room, or move the folder"
        )


def used_by(folder: Path) -> int:
    """How many bytes of the disk the files in a folder take; those with holes less than their size."""
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                found = entry.stat(follow_symlinks=False)
                total += getattr(found, "st_blocks", -(-found.st_size // 512)) * 512
    return total


def _mega(size: int) -> str:
    return f"{size / 2**20:,.0f} MB"

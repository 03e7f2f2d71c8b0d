"""The code blocks of the documentation, by the name in the comment above each."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"<!-- test: (\w+) -->\n```python\n(.*?)```", re.S)


def blocks(document: str) -> dict[str, str]:
    """Name → the code of all blocks of that name, in their order."""
    found: dict[str, str] = {}
    for name, code in _BLOCK.findall((ROOT / document).read_text("utf-8")):
        found[name] = found.get(name, "") + code
    return found


def untested(document: str) -> int:
    """How many Python blocks have no name, and so are not run."""
    text = (ROOT / document).read_text("utf-8")
    return text.count("```python") - len(_BLOCK.findall(text))

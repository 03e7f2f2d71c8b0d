"""Fences around texts from outside, so that an LLM can tell them from what it is asked to do.

A fence carries a random token that is made for each call, so no document can know it; what looks like a fence within a
document is escaped, and characters that people don't see are taken out.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

__all__ = ["Fence", "cut", "is_blank"]

_INVISIBLE = "\u00ad\u200b-\u200f\u2060-\u2064\ufeff"
_WORDS = ("document", "query")
_SPELLED = "|".join("".join(f"{letter}[{_INVISIBLE}]*" for letter in word) for word in _WORDS)
_LIKE_A_FENCE = re.compile(rf"[<\uff1c\ufe64](?=[\s/{_INVISIBLE}]*(?:{_SPELLED}))", re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")  # direction overrides, and letters nobody sees
_SURROGATES = re.compile("[\ud800-\udfff]")  # half characters, which can't be sent as UTF-8
_SEEN = re.compile(rf"[^\s\x00-\x1f\x7f-\x9f{_INVISIBLE}\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def is_blank(text: str) -> bool:
    """Whether `text` has no character that a reader would see."""
    return _SEEN.search(text) is None


def cut(text: str, max_chars: int) -> str:
    """`text`, or its first `max_chars` characters and a line that says so."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n[cut: the first {max_chars} of {len(text)} characters]"


@dataclass(frozen=True)
class Fence:
    """The fences of one call.

    Attributes:
        token: 16 hexadecimal digits from the system's random source; new for each call.
    """

    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def document(self, number: int, text: str) -> str:
        """`text` fenced as the document `number`."""
        return f"<document id={number} k={self.token}>\n{_harmless(text)}\n</document k={self.token}>"

    def query(self, text: str) -> str:
        """`text` fenced as the query."""
        return f"<query k={self.token}>\n{_harmless(text)}\n</query k={self.token}>"


def _harmless(text: str) -> str:
    text = _SURROGATES.sub("\ufffd", _HIDDEN.sub("", _CONTROLS.sub(" ", text)))
    return _LIKE_A_FENCE.sub("&lt;", text)

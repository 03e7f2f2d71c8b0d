"""What explanations are made of: `results` (why a result is where it is), `plans` (what a plan will send), `plot` (a picture).

Nothing here knows a strategy: each kind explains its own results, in `Strategy.explain`.
"""

from __future__ import annotations

from .results import Account, CandidateHit, Explained, Found, ResultReason, Term

__all__ = ["Account", "CandidateHit", "Explained", "Found", "ResultReason", "Term"]

"""Names of `qdrant_rerank.evaluate` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .measures import deepest as deepest
    from .measures import parsed as parsed
    from .plain import plain as plain
    from .running import Progress as Progress
    from .search_options import id_payload as id_payload
    from .search_options import measured_options as measured_options
    from .search_options import stable as stable
    from .services import MEASURING as MEASURING
    from .verdicts import Numbers as Numbers
    from .verdicts import finding_of as finding_of
    from .verdicts import verdict_of as verdict_of
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "measures": "deepest, parsed",
            "plain": "plain",
            "running": "Progress",
            "search_options": "id_payload, measured_options, stable",
            "services": "MEASURING",
            "verdicts": "Numbers, finding_of, verdict_of",
        },
    )

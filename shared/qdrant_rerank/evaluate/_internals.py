"""Names of `qdrant_rerank.evaluate` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .asking import is_setup_error as is_setup_error
    from .doc_ids import aliases as aliases
    from .doc_ids import other_ids as other_ids
    from .doc_ids import ranking_of as ranking_of
    from .lines import rows_of as rows_of
    from .lines import value_text as value_text
    from .measures import deepest as deepest
    from .measures import parsed as parsed
    from .plain import Plain as Plain
    from .plain import frame as frame
    from .plain import plain as plain
    from .preparing import Work as Work
    from .running import Progress as Progress
    from .search_options import id_payload as id_payload
    from .search_options import measured_options as measured_options
    from .search_options import stable as stable
    from .services import MEASURING as MEASURING
    from .services import AsyncRetryingServices as AsyncRetryingServices
    from .services import RetryingServices as RetryingServices
    from .services import stops as stops
    from .topics import SYNTHETIC_NOTE as SYNTHETIC_NOTE
    from .verdicts import Numbers as Numbers
    from .verdicts import finding_of as finding_of
    from .verdicts import verdict_of as verdict_of
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "asking": "is_setup_error",
            "doc_ids": "aliases, other_ids, ranking_of",
            "lines": "rows_of, value_text",
            "measures": "deepest, parsed",
            "plain": "Plain, frame, plain",
            "preparing": "Work",
            "running": "Progress",
            "search_options": "id_payload, measured_options, stable",
            "services": "MEASURING, AsyncRetryingServices, RetryingServices, stops",
            "topics": "SYNTHETIC_NOTE",
            "verdicts": "Numbers, finding_of, verdict_of",
        },
    )

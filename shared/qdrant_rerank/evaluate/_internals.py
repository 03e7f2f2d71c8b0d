"""Names of `qdrant_rerank.evaluate` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .asking import MEASURING as MEASURING
    from .asking import Progress as Progress
    from .asking import RetryingServices as RetryingServices
    from .asking import Work as Work
    from .asking import is_setup_error as is_setup_error
    from .asking import stops as stops
    from .comparison import ThreeWays as ThreeWays
    from .comparison import decide as decide
    from .comparison import write_verdict as write_verdict
    from .data import SYNTHETIC_NOTE as SYNTHETIC_NOTE
    from .data import Plain as Plain
    from .data import frame as frame
    from .data import plain as plain
    from .files import rows_of as rows_of
    from .files import value_text as value_text
    from .statistics import deepest as deepest
    from .statistics import parse_measures as parse_measures
    from .systems import aliases as aliases
    from .systems import id_payload as id_payload
    from .systems import other_ids as other_ids
    from .systems import prepare_options as prepare_options
    from .systems import read_ranking as read_ranking
    from .systems import stable as stable
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "asking": "MEASURING, Progress, RetryingServices, Work, is_setup_error, stops",
            "comparison": "ThreeWays, decide, write_verdict",
            "data": "SYNTHETIC_NOTE, Plain, frame, plain",
            "files": "rows_of, value_text",
            "statistics": "deepest, parse_measures",
            "systems": "aliases, id_payload, other_ids, prepare_options, read_ranking, stable",
        },
    )

"""Names of `qdrant_rerank.evaluate` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .asking import MEASURING, Progress, RetryingServices, Work, ask_batch, check_some, is_setup_error, scorings, stops
    from .comparison import ThreeWays, decide, write_verdict
    from .data import Plain, SYNTHETIC_NOTE, first_sentence, frame, plain
    from .files import rows_of, value_text
    from .statistics import SAME, deepest, parse_measures, write_p
    from .systems import aliases, describe_doc_id, id_payload, other_ids, prepare_options, read_ranking, stable
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "asking": "MEASURING, Progress, RetryingServices, Work, ask_batch, check_some, is_setup_error, scorings, stops",
            "comparison": "ThreeWays, decide, write_verdict",
            "data": "Plain, SYNTHETIC_NOTE, first_sentence, frame, plain",
            "files": "rows_of, value_text",
            "statistics": "SAME, deepest, parse_measures, write_p",
            "systems": "aliases, describe_doc_id, id_payload, other_ids, prepare_options, read_ranking, stable",
        },
    )

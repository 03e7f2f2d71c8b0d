"""Names of `qdrant_rerank.evaluate` that tests and neighbours need and users don't.

Nothing is defined here. Who moves or renames what lies behind changes the line here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from .asking import Experiment, MEASURING, Progress, RetryingServices, ask_batch, check_some, ends_measuring, is_setup_error
from .asking import scorings
from .comparison import ThreeWays, decide, write_verdict
from .data import Plain, SYNTHETIC_NOTE, first_sentence, frame, plain
from .files import rows_of, value_text
from .statistics import SAME, deepest, parse_measures, write_p
from .systems import aliases, describe_doc_id, id_payload, identify_doc_id, other_ids, prepare_options, read_ranking
from .systems import with_stable_ties

"""Names of `qdrant_rerank.cli` that tests and neighbours need and users don't.

Nothing is defined here. Who moves or renames what lies behind changes the line here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from .app import ABOUT, COMMANDS, TASKS, app, build_command, help_text, load_command, paragraphs
from .calibrate import describe_progress, run_calibrate, show_scoring
from .connect import CommandRetries, Where, open_remote
from .evaluate import run_compare, run_evaluate
from .index import run_index
from .learn import read_features, run_features, run_fit
from .mcp import HttpGuard, ServedCollection
from .options import check_folder, check_output
from .output import CommandError, ProgressLines, errors_console, make_table, message_of, results_console
from .output import show_progress, show_table, visible
from .results import compare_results, describe_value, first_text
from .search import fold_json, run_search
from .tune import run_tune

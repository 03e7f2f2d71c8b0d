"""Names of `qdrant_rerank.cli` that tests and neighbours need and users don't.

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
    from .app import ABOUT, COMMANDS, TASKS, app, help_text, load_command, paragraphs
    from .calibrate import describe_progress, run_calibrate, show_scoring
    from .compare import run_compare
    from .connect import CommandRetries, Where, open_remote
    from .consoles import ProgressLines, errors_console, make_table, results_console, show_progress, show_table, visible
    from .evaluate import run_evaluate
    from .failures import CommandError, message_of
    from .features import read_features, run_features
    from .fit import run_fit
    from .index import run_index
    from .mcp import HttpGuard, ServedCollection
    from .options import check_folder, check_output
    from .plan import fold_json
    from .reference import reference
    from .results import compare_results, describe_value, first_text
    from .search import run_search
    from .tune import run_tune
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "app": "ABOUT, COMMANDS, TASKS, app, help_text, load_command, paragraphs",
            "calibrate": "describe_progress, run_calibrate, show_scoring",
            "compare": "run_compare",
            "connect": "CommandRetries, Where, open_remote",
            "consoles": "ProgressLines, errors_console, make_table, results_console, show_progress, show_table, visible",
            "evaluate": "run_evaluate",
            "failures": "CommandError, message_of",
            "features": "read_features, run_features",
            "fit": "run_fit",
            "index": "run_index",
            "mcp": "HttpGuard, ServedCollection",
            "options": "check_folder, check_output",
            "plan": "fold_json",
            "reference": "reference",
            "results": "compare_results, describe_value, first_text",
            "search": "run_search",
            "tune": "run_tune",
        },
    )

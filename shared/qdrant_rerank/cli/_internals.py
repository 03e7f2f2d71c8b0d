"""Names of `qdrant_rerank.cli` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .app import ABOUT as ABOUT
    from .app import COMMANDS as COMMANDS
    from .app import TASKS as TASKS
    from .app import app as app
    from .app import help_text as help_text
    from .app import load_command as load_command
    from .app import paragraphs as paragraphs
    from .calibrate import describe_progress as describe_progress
    from .calibrate import run_calibrate as run_calibrate
    from .calibrate import show_scoring as show_scoring
    from .compare import run_compare as run_compare
    from .connect import CommandRetries as CommandRetries
    from .connect import Where as Where
    from .connect import open_remote as open_remote
    from .consoles import ProgressLines as ProgressLines
    from .consoles import errors_console as errors_console
    from .consoles import make_table as make_table
    from .consoles import results_console as results_console
    from .consoles import show_progress as show_progress
    from .consoles import show_table as show_table
    from .consoles import visible as visible
    from .evaluate import run_evaluate as run_evaluate
    from .failures import CommandError as CommandError
    from .failures import message_of as message_of
    from .features import read_features as read_features
    from .features import run_features as run_features
    from .fit import run_fit as run_fit
    from .index import run_index as run_index
    from .mcp import HttpGuard as HttpGuard
    from .mcp import ServedCollection as ServedCollection
    from .options import check_folder as check_folder
    from .options import check_output as check_output
    from .plan import fold_json as fold_json
    from .reference import reference as reference
    from .results import compare_results as compare_results
    from .results import describe_value as describe_value
    from .results import first_text as first_text
    from .search import run_search as run_search
    from .tune import run_tune as run_tune
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

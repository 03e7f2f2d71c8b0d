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
    from .app import app as app
    from .calibrate import calibrate as calibrate
    from .compare import compare as compare
    from .connect import CommandRetries as CommandRetries
    from .connect import Where as Where
    from .connect import open_remote as open_remote
    from .consoles import errors_console as errors_console
    from .consoles import results_console as results_console
    from .consoles import visible as visible
    from .evaluate import evaluate as evaluate
    from .evaluate_options import shown_progress as shown_progress
    from .explain_show import folded as folded
    from .failures import CommandError as CommandError
    from .failures import message_of as message_of
    from .feature_files import read_features as read_features
    from .features import features as features
    from .fit import fit as fit
    from .helptext import help_text as help_text
    from .helptext import paragraphs as paragraphs
    from .index import index as index
    from .index import show_progress as show_progress
    from .outputs import check_folder as check_folder
    from .outputs import check_output as check_output
    from .reasons import compared as compared
    from .reference import reference as reference
    from .search import search as search
    from .show import first_text as first_text
    from .show import shown_value as shown_value
    from .tune import tune as tune
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "app": "ABOUT, COMMANDS, app",
            "calibrate": "calibrate",
            "compare": "compare",
            "connect": "CommandRetries, Where, open_remote",
            "consoles": "errors_console, results_console, visible",
            "evaluate": "evaluate",
            "evaluate_options": "shown_progress",
            "explain_show": "folded",
            "failures": "CommandError, message_of",
            "feature_files": "read_features",
            "features": "features",
            "fit": "fit",
            "helptext": "help_text, paragraphs",
            "index": "index, show_progress",
            "outputs": "check_folder, check_output",
            "reasons": "compared",
            "reference": "reference",
            "search": "search",
            "show": "first_text, shown_value",
            "tune": "tune",
        },
    )

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
    from .app import help_text as help_text
    from .app import paragraphs as paragraphs
    from .calibrate import calibrate as calibrate
    from .calibrate import scoring_bar as scoring_bar
    from .calibrate import told_line as told_line
    from .compare import compare as compare
    from .connect import CommandRetries as CommandRetries
    from .connect import Where as Where
    from .connect import open_remote as open_remote
    from .evaluate import evaluate as evaluate
    from .failures import CommandError as CommandError
    from .failures import errors_console as errors_console
    from .failures import message_of as message_of
    from .failures import results_console as results_console
    from .failures import visible as visible
    from .features import features as features
    from .features import read_features as read_features
    from .fit import fit as fit
    from .index import index as index
    from .index import show_progress as show_progress
    from .measuring import shown_progress as shown_progress
    from .options import check_folder as check_folder
    from .options import check_output as check_output
    from .plan import folded as folded
    from .reasons import compared as compared
    from .reference import reference as reference
    from .results import first_text as first_text
    from .results import shown_value as shown_value
    from .search import search as search
    from .tune import tune as tune
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "app": "ABOUT, COMMANDS, app, help_text, paragraphs",
            "calibrate": "calibrate, scoring_bar, told_line",
            "compare": "compare",
            "connect": "CommandRetries, Where, open_remote",
            "evaluate": "evaluate",
            "failures": "CommandError, errors_console, message_of, results_console, visible",
            "features": "features, read_features",
            "fit": "fit",
            "index": "index, show_progress",
            "measuring": "shown_progress",
            "options": "check_folder, check_output",
            "plan": "folded",
            "reasons": "compared",
            "reference": "reference",
            "results": "first_text, shown_value",
            "search": "search",
            "tune": "tune",
        },
    )

"""Names of `qdrant_rerank.feedback` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from ..explain.results import Column as Column
    from ..explain.results import Seed as Seed
    from ..explain.results import Steering as Steering
    from ..models.frameworks import OfficialFeedback as OfficialFeedback
    from .coefficients import DIGITS as DIGITS
    from .coefficients import MOST_HASHES as MOST_HASHES
    from .coefficients import Mode as Mode
    from .coefficients import Verdict as Verdict
    from .coefficients import count_known as count_known
    from .coefficients import hashes_of as hashes_of
    from .coefficients import same as same
    from .steering import fold as fold
    from .steering import native_query as native_query
    from .steering import pairs_of as pairs_of
    from .steering import read_vector as read_vector
    from .steering import unit as unit
    from .steering import weights_of as weights_of
    from .strategy import READ as READ
    from .strategy import SEEDS as SEEDS
else:
    __getattr__ = load_lazily(
        __package__,
        {
            ".explain.results": "Column, Seed, Steering",
            ".models.frameworks": "OfficialFeedback",
            "coefficients": "DIGITS, MOST_HASHES, Mode, Verdict, count_known, hashes_of, same",
            "steering": "fold, native_query, pairs_of, read_vector, unit, weights_of",
            "strategy": "READ, SEEDS",
        },
    )

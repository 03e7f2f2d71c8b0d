"""Names of `qdrant_rerank.feedback` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .coefficients import Mode as Mode
    from .folding import folded as folded
    from .folding import native_query as native_query
    from .folding import pairs_of as pairs_of
    from .folding import weights_of as weights_of
    from .known_queries import MOST_HASHES as MOST_HASHES
    from .known_queries import hashes_of as hashes_of
    from .known_queries import known_among as known_among
    from .known_queries import same as same
    from .official import OfficialFeedback as OfficialFeedback
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "coefficients": "Mode",
            "folding": "folded, native_query, pairs_of, weights_of",
            "known_queries": "MOST_HASHES, hashes_of, known_among, same",
            "official": "OfficialFeedback",
        },
    )

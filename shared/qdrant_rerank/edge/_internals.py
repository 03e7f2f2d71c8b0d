"""Names of `qdrant_rerank.edge` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .binding import made as made
    from .binding import refusals as refusals
    from .changes import change as change
    from .reading import grouped as grouped
    from .shards import OPENING as OPENING
    from .shards import RESERVE as RESERVE
    from .shards import Shard as Shard
    from .shards import disk_of as disk_of
    from .shards import used_by as used_by
    from .translate_query import Formulas as Formulas
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "binding": "made, refusals",
            "changes": "change",
            "reading": "grouped",
            "shards": "OPENING, RESERVE, Shard, disk_of, used_by",
            "translate_query": "Formulas",
        },
    )

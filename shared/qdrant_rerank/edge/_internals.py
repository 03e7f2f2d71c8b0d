"""Names of `qdrant_rerank.edge` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .changes import make_change as make_change
    from .groups import group_hits as group_hits
    from .shards import OPENING as OPENING
    from .shards import RESERVE as RESERVE
    from .shards import Shard as Shard
    from .shards import disk_of as disk_of
    from .shards import disk_usage as disk_usage
    from .translate_query import Formulas as Formulas
    from .values import describe_misfits as describe_misfits
    from .values import refusals as refusals
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "changes": "make_change",
            "groups": "group_hits",
            "shards": "OPENING, RESERVE, Shard, disk_of, disk_usage",
            "translate_query": "Formulas",
            "values": "describe_misfits, refusals",
        },
    )

"""`qdrant-rerank schema`: which payload keys a collection's points have, of which types and values."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer
from rich.text import Text

from ..planning import PayloadSchema, payload_schema
from .connect import Where, connect, find_collection
from .consoles import make_table, results_console, show_table
from .options import JSON, ResultOptions, command, parse_filter, without


@command
def run_schema(
    *,
    where: Where,
    selection: Annotated[ResultOptions, without("k", "score_threshold", "group_by")],
    json: bool = JSON,
) -> None:
    """Show which payload keys the points have: types, how many points have them, indexes, ranges, frequent values.

    It looks at 200 random points, and asks payload indexes for the counts of values. Values that are long, or look like a
    secret or an address, are not shown. Where there are fewer than 20 points, nothing is said of them.

    $ qdrant-rerank schema --edge ./db

    $ qdrant-rerank schema --url http://localhost:6333 -c docs --filter '{"must": [{"key": "tenant", "match": {"value": "A"}}]}'
    """
    filter, policy = parse_filter(selection.filter), where.policy
    with connect(where) as client:
        name = find_collection(client, where.collection, policy)
        found = policy.rest.run(lambda: payload_schema(client, name, filter=filter))
    if json:
        typer.echo(jsonlib.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _print_schema(found)


def _print_schema(found: PayloadSchema) -> None:
    console = results_console()
    if not found.points:
        console.print(str(found))
        return
    console.print(f"{found.collection!r}: {found.points} random points were looked at", style="dim")
    table = make_table("key", "type", "points", "index", "values", text=5)
    for each in found.keys:
        types = " | ".join(each.types) or "–"
        kind = f"[{types}]" if each.is_array else types
        cells = each.key, kind, f"{each.share:.0%}", each.index or "–", each.describe_values()
        table.add_row(*map(Text, cells))
    show_table(console, table)

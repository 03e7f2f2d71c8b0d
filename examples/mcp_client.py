"""A client of the command `qdrant-rerank mcp`, by the official SDK: what an agent of any framework sees and asks. Runs offline.

It indexes the demo's travel guide into a folder, starts the command on standard input and output, lists its tools and calls
them. The embedding knows spelling alone. Needs `pip install 'qdrant-rerank[mcp,edge]'`.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mcp import Client, StdioServerParameters

from qdrant_rerank.demo import CORPUS

COMMAND = str(Path(sys.executable).with_name("qdrant-rerank"))  # of the environment that runs this
folder = Path(tempfile.mkdtemp())
database = str(folder / "db")
subprocess.run([COMMAND, "index", str(CORPUS), "--edge", database, "--dense", "hash"], check=True, capture_output=True)

# The filter is fixed where the server is started: no call of a client sees it or widens it.
only_orvena = folder / "filter.json"
only_orvena.write_text(json.dumps({"must": [{"key": "town", "match": {"value": "Orvena"}}]}))
arguments = ["mcp", "--edge", database, "--hybrid", "--filter", f"@{only_orvena}", "--filter-by", "category,price:float"]
server = StdioServerParameters(command=COMMAND, args=[*arguments, "-k", "2", "--description", "Search the guide to Orvena."])


async def main() -> None:
    """What an agent's framework does with the server."""
    async with Client(server) as client:
        for tool in (await client.list_tools()).tools:
            print(f"{tool.name}: {', '.join(tool.input_schema['properties']) or 'no arguments'}")
        calls: list[tuple[str, dict[str, object]]] = [
            ("search", {"query": "bikes on the night train", "max_price": 20}),
            ("search", {"query": ""}),  # a mistake comes back as a text that says what to send instead
            ("explain", {"query": "bikes on the night train", "k": 1}),
            ("schema", {}),
        ]
        for name, asked in calls:
            answer = await client.call_tool(name, asked)
            [content] = answer.content
            print(f"\n{name} {asked} -> {'an error' if answer.is_error else 'an answer'}\n{content.text}")


asyncio.run(main())

"""`memory move`."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer

from mcp_memory.cli import exits
from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import count, print_json
from mcp_memory.cli.service import LONG_SECONDS, service
from mcp_memory.terminal import printable


def move(
    hashes: Annotated[list[str], typer.Argument(metavar="HASH...", help="Hashes of memories, up to 1,000.")],
    *,
    to: Annotated[str, typer.Option("--to", help="The store that they belong to from now on.")],
    as_json: AsJson = False,
) -> None:
    """Move memories to another store, wherever they are now. Their texts, tags and vectors stay."""
    answer = asyncio.run(_move(hashes, to))
    if as_json:
        print_json(answer)
    else:
        print(f"Moved {count(answer['updated'])} to {printable(to)}.")
    if answer["missing"]:
        print("No memory has the hash " + ", ".join(map(printable, answer["missing"])), file=sys.stderr)
        raise typer.Exit(exits.NOT_FOUND)


async def _move(hashes: list[str], to: str) -> Any:
    async with service() as remote:
        return await remote.post("/api/memories/update", {"hashes": hashes, "store": to}, seconds=LONG_SECONDS)

"""`memory tags`, `memory stats`, `memory optimize`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import emit, print_json
from mcp_memory.cli.service import LONG_SECONDS, service
from mcp_memory.sizes import size
from mcp_memory.terminal import printable


def tags(
    store: Annotated[str, typer.Option(help="Named store; `all` for every one.")] = "all",
    as_json: AsJson = False,
) -> None:
    """List tags, most frequent first."""
    answer = asyncio.run(_get("/api/tags", {"store": store}))
    if as_json:
        print_json(answer)
        return
    width = max((len(f"{tag['count']:,}") for tag in answer["tags"]), default=0)
    for tag in answer["tags"]:
        print(f"{tag['count']:>{width},}  {printable(tag['tag'])}")


def stats(as_json: AsJson = False) -> None:
    """Show how much is stored, and how."""
    answer = asyncio.run(_statistics())
    if as_json:
        print_json(answer)
        return
    health, sizes = answer["health"], answer["storage"]
    figures = health["statistics"]
    indexed, vectors = sizes["indexed_vectors_count"], sizes["vectors_count"]
    rows = [
        ("Memories", f"{vectors:,}"),
        ("  this week", f"{figures.get('memories_this_week') or 0:,}"),
        ("Tags", f"{figures.get('unique_tags') or 0:,}"),
        ("Indexed", "all" if indexed >= vectors else f"{indexed:,} of {vectors:,}"),
        ("On disk", size(sizes["disk_data_size"])),
        ("In memory", size(sizes["ram_data_size"])),
        ("Model", f"{health['storage']['embedding_model']}, {health['storage']['embedding_dimension']} dimensions"),
        ("Backend", f"{health['storage']['backend']}, {health['status']}"),
        (
            "Served by",
            f"process {answer['owner']['pid']} ({answer['owner']['kind']}), version {answer['owner']['version']}",
        ),
    ]
    stores = figures.get("stores") or {}
    if len(stores) > 1:
        rows[1:1] = [(f"  in {printable(name)}", f"{number:,}") for name, number in stores.items()]
    print_rows(rows)


def optimize(as_json: AsJson = False) -> None:
    """Bring indexes up to date.

    They get the kind and parameters that the number of memories asks for. Serving goes on meanwhile.
    """
    answer = asyncio.run(_optimize())
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['message']} ({answer['seconds']:.1f} s)")


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Names, and what they are."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        emit((f"{name:<{width}}  ", "dim"), (value, ""))


async def _get(path: str, parameters: dict[str, object]) -> Any:
    async with service() as remote:
        return await remote.get(path, parameters)


async def _statistics() -> dict[str, Any]:
    async with service() as remote:
        owner = await remote.client.connect()
        return {
            "storage": await remote.get("/api/storage/stats"),
            "health": await remote.get("/api/health/detailed"),
            "owner": owner.public(),
        }


async def _optimize() -> Any:
    async with service() as remote:
        return await remote.post("/internal/optimize", {}, seconds=LONG_SECONDS)

"""`memory search` and `memory list`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mcp_memory.cli.options import (
    After,
    AllTags,
    AsJson,
    Before,
    Store,
    Superseded,
    Tags,
    Type,
    When,
    Whole,
    conditions,
    query_of,
)
from mcp_memory.cli.output import count, print_json, print_memories
from mcp_memory.cli.service import Service, service
from mcp_memory.config import Settings, load_settings
from mcp_memory.owner.nearby import older_stores
from mcp_memory.terminal import printable


def search(
    query: Annotated[list[str] | None, typer.Argument(help="What to look for; without it tags and time alone.")] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="At most so many.")] = 10,
    mode: Annotated[
        str, typer.Option("--mode", "-m", help="hybrid, semantic, keyword (BM25) or exact (substring).")
    ] = "hybrid",
    tag: Tags = None,
    all_tags: AllTags = False,
    memory_type: Type = None,
    after: After = None,
    before: Before = None,
    when: When = None,
    store: Store = "default",
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Least similarity (0.5 is unrelated).")] = None,
    superseded: Superseded = False,
    full: Whole = False,
    as_json: AsJson = False,
) -> None:
    """Find memories by meaning and words."""
    where = conditions(
        tags=tag, all_tags=all_tags, memory_type=memory_type, after=after, before=before, when=when, store=store
    )
    wish = (
        {"query": " ".join(query) if query else None, "n_results": limit, "mode": mode}
        | dict(where)
        | _also(superseded)
    )
    answer = asyncio.run(_post("/api/search", wish | {"similarity_threshold": threshold}))
    if as_json:
        print_json(answer)
        return
    if not answer["results"]:
        print("Nothing found.", file=sys.stderr)
    print_memories([(_score(hit), hit["memory"]) for hit in answer["results"]], whole=full)


def list_memories(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="Memories on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    tag: Tags = None,
    all_tags: AllTags = False,
    memory_type: Type = None,
    after: After = None,
    before: Before = None,
    when: When = None,
    store: Store = "default",
    superseded: Superseded = False,
    full: Whole = False,
    as_json: AsJson = False,
) -> None:
    """List memories, newest first."""
    where = conditions(
        tags=tag, all_tags=all_tags, memory_type=memory_type, after=after, before=before, when=when, store=store
    )
    answer = asyncio.run(
        _get("/api/memories", query_of(where) | {"page_size": limit, "cursor": cursor} | _also(superseded))
    )
    if as_json:
        print_json(answer)
        return
    print_memories([("", memory) for memory in answer["memories"]], whole=full)
    shown, total = len(answer["memories"]), answer["total"]
    if answer["next_cursor"]:
        print(
            f"\n{shown} of {count(total)}. The next:  memory list --cursor {answer['next_cursor']} ...", file=sys.stderr
        )
    elif not total:
        print("No memories.", file=sys.stderr)


def _also(superseded: bool) -> dict[str, object]:
    return {"include_superseded": True} if superseded else {}


def _score(hit: Mapping[str, Any]) -> str:
    score = hit["similarity_score"]
    return f"{score:.2f}" if score is not None else ""


async def _post(path: str, wish: object) -> Any:
    settings = load_settings()
    async with service(settings) as remote:
        answer = await remote.post(path, wish)
        if not answer["results"]:
            await _point_out_older(remote, settings)
        return answer


async def _get(path: str, parameters: Mapping[str, object]) -> Any:
    settings = load_settings()
    async with service(settings) as remote:
        answer = await remote.get(path, parameters)
        if not answer["memories"]:
            await _point_out_older(remote, settings)
        return answer


async def _point_out_older(remote: Service, settings: Settings) -> None:
    """Who finds nothing in an empty store is probably looking for what lies beside it."""
    notices = older_stores(settings)
    if notices and not (await remote.get("/api/health/detailed"))["storage"]["total_memories"]:
        for notice in notices:
            print(printable(notice), file=sys.stderr)

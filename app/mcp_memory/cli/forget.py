"""`memory delete`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mcp_memory.cli import exits
from mcp_memory.cli.options import After, AllTags, AsJson, Before, Store, Tags, Type, When, conditions
from mcp_memory.cli.output import agreed, count, print_json
from mcp_memory.cli.service import LONG_SECONDS, service
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.hashes import spellings
from mcp_memory.terminal import printable


def delete(
    hashes: Annotated[list[str] | None, typer.Argument(metavar="[HASH]...", help="Hashes of memories.")] = None,
    *,
    tag: Tags = None,
    all_tags: AllTags = False,
    memory_type: Type = None,
    after: After = None,
    before: Before = None,
    when: When = None,
    store: Store = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete memories by hash or by conditions.

    All conditions given must hold. What goes by condition is counted and asked for first.
    """
    where = conditions(
        tags=tag, all_tags=all_tags, memory_type=memory_type, after=after, before=before, when=when, store=store
    )
    limited = any(where[name] is not None for name in ("tags", "memory_type", "after", "before", "time_expr"))
    if hashes and limited:
        raise InvalidInputError("Give hashes or conditions, not both.")
    if not hashes and not limited:
        raise InvalidInputError("Say what to delete: hashes, --tag, --type, --when, --after or --before.")
    wish: dict[str, Any] = {"hashes": hashes, "store": "all"} if hashes else dict(where)
    answer = asyncio.run(_delete(wish, dry_run=dry_run, ask=not hashes and not yes))
    if as_json:
        print_json(answer)
    else:
        print(f"{'Would delete' if answer['dry_run'] else 'Deleted'} {count(answer['count'])}.")
        if dry_run:
            print("\n".join(map(printable, answer["hashes"])))
    missing = [hash_ for hash_ in hashes or [] if not set(spellings(hash_)) & set(answer["hashes"])]
    if missing:
        print("No memory has the hash " + ", ".join(map(printable, missing)), file=sys.stderr)
        raise typer.Exit(exits.NOT_FOUND)


async def _delete(wish: Mapping[str, Any], *, dry_run: bool, ask: bool) -> Any:
    async with service() as remote:
        if dry_run or ask:
            planned = await remote.post("/api/memories/delete", {**wish, "dry_run": True}, seconds=LONG_SECONDS)
            if dry_run or not planned["count"]:
                return {**planned, "dry_run": dry_run}
            _confirm(planned["count"])
        return await remote.post("/api/memories/delete", dict(wish), seconds=LONG_SECONDS)


def _confirm(number: int) -> None:
    """Ask on a terminal; elsewhere nobody could answer."""
    if not sys.stdin.isatty():
        raise InvalidInputError(f"This would delete {count(number)}: add --yes to do it, or --dry-run to see them.")
    if not agreed(f"Delete {count(number)}?"):
        print("Nothing was deleted.", file=sys.stderr)
        raise typer.Exit(exits.FAILURE)

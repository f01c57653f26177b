"""`memory export` and `memory import`: JSON lines, each the memory object of the REST API."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from mcp_memory.cli.options import AllTags, AsJson, Store, Tags, Type, When, conditions, query_of
from mcp_memory.cli.output import count, print_json
from mcp_memory.cli.reading import read_batches
from mcp_memory.cli.service import LONG_SECONDS, service
from mcp_memory.cli.writing import ExportFile
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.terminal import printable


def export(
    file: Annotated[str, typer.Argument(help="Where to; `-` for stdout.")],
    *,
    tag: Tags = None,
    all_tags: AllTags = False,
    memory_type: Type = None,
    when: When = None,
    store: Store = "all",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with FILE.partial of an export that was cut off.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write memories as JSON lines.

    They gather in FILE.partial, which becomes FILE when it is complete.
    """
    where = conditions(
        tags=tag, all_tags=all_tags, memory_type=memory_type, after=None, before=None, when=when, store=store
    )
    if file == "-" and (resume or as_json):
        raise InvalidInputError("--resume and --json need a file: stdout carries the memories.")
    written = asyncio.run(_export(file, query_of(where), resume=resume))
    if as_json:
        print_json({"exported": written, "file": file})
    elif file != "-":
        print(f"Exported {count(written)} to {file}.")


async def _export(file: str, query: dict[str, object], *, resume: bool) -> int:
    async with service() as remote:
        total = int((await remote.get("/api/memories", query | {"page_size": 1}))["total"])
        with ExportFile.open(file, resume=resume, total=total) as target:
            parameters = query | {"after_id": target.last_id}
            while True:
                page = await remote.export_page(parameters)
                if not page.count:
                    break
                target.write(page.lines, page.count)
                parameters["after_id"] = page.last_id
            return target.finish()


def import_(
    file: Annotated[
        str, typer.Argument(help="A file that `memory export` wrote, or a JSON array of such; `-` for stdin.")
    ],
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace memories that are there; else they stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take in memories from JSON lines or a JSON array, gzipped or not.

    They are kept as they are, with their hashes and times. Those that are there stay, so a second run goes on with the rest.
    Lines that can't be taken are named, and the others go in; the exit code is then 1.
    """
    totals = asyncio.run(_import(file, overwrite=overwrite))
    if as_json:
        print_json(totals)
    else:
        print(
            f"Imported {count(totals['imported'])}; {totals['existed']:,} were there"
            + (f", {totals['overwritten']:,} replaced" if overwrite else "")
            + (f"; {totals['rejected']:,} refused (see above)" if totals["rejected"] else "")
            + "."
        )
    if totals["rejected"]:
        raise typer.Exit(1)


async def _import(file: str, *, overwrite: bool) -> dict[str, int]:
    totals = {"imported": 0, "existed": 0, "overwritten": 0, "rejected": 0}
    async with service() as remote:
        with read_batches(file) as reading:
            for batch in reading.batches:
                for number, reason in batch.unreadable:
                    _refused(reading.unit, number, reason)
                totals["rejected"] += len(batch.unreadable)
                if not batch.lines:
                    continue
                wish = {"lines": batch.lines, "overwrite": overwrite}
                report = await remote.post("/internal/import", wish, seconds=LONG_SECONDS)
                for item in report["rejected"]:
                    _refused(reading.unit, batch.numbers[item["index"]], item["message"], item["field"])
                totals["rejected"] += len(report["rejected"])
                for name in ("imported", "existed", "overwritten"):
                    totals[name] += report[name]
    return totals


def _refused(unit: str, number: int, reason: str, field: str | None = None) -> None:
    where = "" if field is None or field in reason else f"{field}: "
    print(f"{unit} {number}: {where}{printable(reason)}", file=sys.stderr)

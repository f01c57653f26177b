"""`memory migrate sqlite`: a foreign store into one of ours."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mcp_memory.cli import exits
from mcp_memory.cli.migration_bar import terminal_progress
from mcp_memory.cli.migration_end import Outcome, failure, run_to_the_end, stop_on_signals
from mcp_memory.cli.migration_places import Place
from mcp_memory.config import Backend
from mcp_memory.container import build_storage
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.select import build_embedder
from mcp_memory.embedding_settings import embedding_options
from mcp_memory.migration.estimate import estimate
from mcp_memory.migration.migration import Migration
from mcp_memory.migration.origin import FileOrigin, title
from mcp_memory.migration.plan import MigrationOptions, Validation, check_places, keeps_vectors
from mcp_memory.migration.progress import about
from mcp_memory.migration.report import MigrationReport
from mcp_memory.migration.sources.base import Source, SourceError
from mcp_memory.migration.sources.detect import source_at
from mcp_memory.migration.target import Target


@dataclass(frozen=True, slots=True)
class SqliteWishes:
    """The command line."""

    source: Path | None
    target: str | None
    checkpoint: Path | None
    report: Path | None
    batch_size: int
    dry_run: bool
    resume: bool
    merge: bool
    reembed: bool
    validation: Validation
    validate_sample: int | None


def run_sqlite(wishes: SqliteWishes, outcome: Outcome) -> int:
    """The exit code: 0 when everything is in the target and right, 1 when something failed, 130 when it was stopped."""
    place = (
        Place.named(wishes.target, backend=Backend.QDRANT)
        if wishes.target is None
        else Place.named(wishes.target, option="--target")
    )
    if wishes.source is not None and ":/" in str(wishes.source):  # a path has one slash of an address only
        raise InvalidInputError(
            "--source is an address; here it is a file or a folder. From a store of this service on a Qdrant server (its key as "
            "MCP_QDRANT_API_KEY, never in the address), use memory migrate storage."
        )
    try:
        source = source_at(wishes.source or place.settings.sqlite_file)
    except SourceError as error:
        outcome["error"] = failure(error)
        print(error.message, file=sys.stderr)
        return exits.USAGE
    checkpoint = checkpoint_path(wishes.checkpoint, place, "migration_checkpoint.json")
    again = _again(wishes, source, checkpoint)
    work = _run(wishes, place, source, checkpoint, outcome)
    return run_to_the_end(work, None if wishes.dry_run else checkpoint, again, outcome)


def checkpoint_path(given: Path | None, place: Place, name: str) -> Path:
    return (given or place.settings.base_dir / name).expanduser().absolute()


async def _run(wishes: SqliteWishes, place: Place, source: Source, checkpoint: Path, outcome: Outcome) -> int:
    check_places(source.path, place.address)
    async with AsyncExitStack() as stack:
        stack.enter_context(source)
        embedder = await asyncio.to_thread(build_embedder, embedding_options(place.settings))
        stack.push_async_callback(embedder.close)
        await place.adopt_stored(embedder)
        target = Target(place.address, place.engine, place.storage(embedder.identity), embedder.identity)
        if wishes.dry_run:
            outcome |= await _dry_run(wishes, place, FileOrigin(source), target, embedder)
            return exits.OK
        await stack.enter_async_context(place.alone("a migration brings memories in"))
        options = MigrationOptions(
            checkpoint=checkpoint,
            batch_size=wishes.batch_size,
            validation=wishes.validation,
            sample_size=wishes.validate_sample or 0,
            resume=wishes.resume,
            merge=wishes.merge,
            reembed=wishes.reembed,
        )
        with terminal_progress("Migrated") as progress, stop_on_signals() as stopping:
            migration = Migration(FileOrigin(source), target, embedder, options, progress, stopping=stopping)
            report = await migration.run()
    outcome |= conclude(report, wishes.report or checkpoint.with_name("migration_report.json"))
    return exits.OK if report.succeeded else exits.FAILURE


async def _dry_run(
    wishes: SqliteWishes, place: Place, origin: FileOrigin, target: Target, embedder: Embedder
) -> Outcome:
    report = await origin.inspect()
    reembed = wishes.reembed or not await keeps_vectors(origin, report, target, embedder)
    print(f"Found {report.live:,} memories in {title(report)}")
    with tempfile.TemporaryDirectory(prefix="mcp-memory-dry-run-") as folder:
        scratch = place.settings.model_copy(
            update={
                "backend": Backend.QDRANT,
                "qdrant_url": None,
                "storage_path": Path(folder) / "qdrant",
                "disk_reserve_bytes": 0,
            }
        )
        expected = await estimate(
            origin,
            report,
            build_storage(scratch, embedder.identity),
            embedder,
            batch_size=wishes.batch_size,
            reembed=reembed,
            validated=wishes.validation is Validation.DURING,
        )
    print(f"Estimated migration time: ~{about(expected.seconds)} (batch_size={wishes.batch_size})")
    if place.on_server:
        print("Measured into a store on this machine: the way to the server comes on top.")
    if expected.to_embed:
        print(f"To be embedded on the way: {expected.to_embed:,} memories")
    for number, what in ((report.tombstones, "deleted"), (report.superseded, "superseded by a newer version")):
        if number:
            print(f"Left in the source: {number:,} {what}")
    return {
        "dry_run": True,
        "memories": report.live,
        "estimated_seconds": round(expected.seconds, 1),
        "to_be_embedded": expected.to_embed,
        "left_in_source": {"deleted": report.tombstones, "superseded": report.superseded},
    }


def conclude(report: MigrationReport, path: Path) -> Outcome:
    """What there is to say besides the progress, and the report's file."""
    path = path.expanduser().absolute()
    for line in report.lines():
        print(line)
    report.write(path)
    print(f"Report: {path}")
    if report.shortfall is not None:
        print(report.shortfall)
    return report.document() | {"report": str(path)}


def _again(wishes: SqliteWishes, source: Source, checkpoint: Path) -> list[str]:
    target = ["--target", wishes.target] if wishes.target else []
    parts = ["memory", "migrate", "sqlite", "--source", str(source.path), *target]
    parts += ["--checkpoint", str(checkpoint), "--batch-size", str(wishes.batch_size)]
    return [*parts, *flags(wishes.validation, wishes.validate_sample, merge=wishes.merge, reembed=wishes.reembed)]


def flags(validation: Validation, sample: int | None, *, merge: bool, reembed: bool) -> list[str]:
    """The options that a command was given, for the line that goes on."""
    given = []
    if validation is Validation.NONE:
        given.append("--no-validate")
    if merge:
        given.append("--merge")
    if reembed:
        given.append("--reembed")
    if sample is not None:
        given += ["--validate-sample", str(sample)]
    return given

"""How a migration is put together from the settings: source, target, model, signals, and what is printed."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mcp_memory.cli import exits
from mcp_memory.cli.migration_bar import terminal_progress
from mcp_memory.config import Backend, Settings, load_settings
from mcp_memory.container import build_storage, embedding_options
from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.select import build_embedder
from mcp_memory.migration.errors import MigrationRefusedError, MigrationStoppedError
from mcp_memory.migration.estimate import estimate
from mcp_memory.migration.migration import Migration
from mcp_memory.migration.origin import FileOrigin, title
from mcp_memory.migration.plan import MigrationOptions, Validation, check_model, check_places
from mcp_memory.migration.progress import about
from mcp_memory.migration.report import MigrationReport
from mcp_memory.migration.sources.base import Source, SourceError
from mcp_memory.migration.sources.detect import source_at
from mcp_memory.migration.target import Target
from mcp_memory.owner.exclusive import exclusive_use
from mcp_memory.owner.identity import identify
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder

INTERRUPTED = 130


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
    validate_sample: int | None
    no_validate: bool
    shown_as: list[str]

    @property
    def validation(self) -> Validation:
        if self.no_validate:
            return Validation.NONE
        return Validation.DURING if self.validate_sample is None else Validation.SAMPLE


def run_sqlite(wishes: SqliteWishes) -> int:
    """The exit code: 0 when everything is in the target and right, 1 when something failed, 130 when it was stopped."""
    settings = _target_settings(wishes.target)
    try:
        source = source_at(wishes.source or settings.sqlite_file)
    except SourceError as error:
        print(error.message, file=sys.stderr)
        return exits.USAGE
    checkpoint = (wishes.checkpoint or settings.base_dir / "migration_checkpoint.json").expanduser().absolute()
    try:
        return asyncio.run(_run(wishes, settings, source, checkpoint))
    except MigrationStoppedError as stopped:
        print(f"{stopped.message} Nothing is lost.\n{_resume_line(wishes, source, checkpoint)}", file=sys.stderr)
        return INTERRUPTED
    except (MigrationRefusedError, SourceError) as error:
        print(error.message, file=sys.stderr)
        return exits.USAGE
    except MemoryServiceError as error:
        # Once begun, there is something to go on from.
        hint = "" if wishes.dry_run or not checkpoint.exists() else f"\n{_resume_line(wishes, source, checkpoint)}"
        print(f"{exits.words(error)}{hint}", file=sys.stderr)
        return exits.exit_code(error)


async def _run(wishes: SqliteWishes, settings: Settings, source: Source, checkpoint: Path) -> int:
    address = _address(settings)
    check_places(source.path, address)
    async with AsyncExitStack() as stack:
        stack.enter_context(source)
        embedder = await asyncio.to_thread(build_embedder, embedding_options(settings))
        stack.push_async_callback(embedder.close)
        if wishes.dry_run:
            await _dry_run(wishes, settings, source, embedder)
            return exits.OK
        await stack.enter_async_context(_alone(settings))
        target = Target(address, "Qdrant", build_storage(settings, embedder.identity), embedder.identity)
        options = MigrationOptions(
            checkpoint=checkpoint,
            batch_size=wishes.batch_size,
            validation=wishes.validation,
            sample_size=wishes.validate_sample or 0,
            resume=wishes.resume,
            merge=wishes.merge,
            reembed=wishes.reembed,
        )
        with terminal_progress("Migrated") as progress, _stop_on_signals() as stopping:
            migration = Migration(FileOrigin(source), target, embedder, options, progress, stopping=stopping)
            report = await migration.run()
    _conclude(report, wishes.report or checkpoint.with_name("migration_report.json"))
    return exits.OK if report.succeeded else exits.FAILURE


async def _dry_run(wishes: SqliteWishes, settings: Settings, source: Source, embedder: Embedder) -> None:
    report = await asyncio.to_thread(source.inspect)
    print(f"Found {report.live:,} memories in {title(report)}")
    with tempfile.TemporaryDirectory(prefix="mcp-memory-dry-run-") as folder:
        scratch = settings.model_copy(
            update={"qdrant_url": None, "storage_path": Path(folder) / "qdrant", "disk_reserve_bytes": 0}
        )
        expected = await estimate(
            FileOrigin(source),
            report,
            build_storage(scratch, embedder.identity),
            embedder,
            batch_size=wishes.batch_size,
            reembed=wishes.reembed,
            validated=wishes.validation is Validation.DURING,
        )
    print(f"Estimated migration time: ~{about(expected.seconds)} (batch_size={wishes.batch_size})")
    if expected.to_embed:
        print(f"To be embedded on the way: {expected.to_embed:,} memories")
    for number, what in ((report.tombstones, "deleted"), (report.superseded, "superseded by a newer version")):
        if number:
            print(f"Left in the source: {number:,} {what}")
    if not wishes.reembed:
        target = Target(_address(settings), "Qdrant", build_storage(settings, embedder.identity), embedder.identity)
        await check_model(FileOrigin(source), report, target, embedder)


def _conclude(report: MigrationReport, path: Path) -> None:
    path = path.expanduser().absolute()
    for line in report.lines():
        print(line)
    report.write(path)
    print(f"Report: {path}")


def _resume_line(wishes: SqliteWishes, source: Source, checkpoint: Path) -> str:
    parts = [*wishes.shown_as, "--source", str(source.path)]
    if wishes.target:
        parts += ["--target", wishes.target]
    parts += ["--checkpoint", str(checkpoint), "--batch-size", str(wishes.batch_size)]
    for chosen, flag in (
        (wishes.no_validate, "--no-validate"),
        (wishes.merge, "--merge"),
        (wishes.reembed, "--reembed"),
    ):
        parts += [flag] if chosen else []
    if wishes.validate_sample is not None:
        parts += ["--validate-sample", str(wishes.validate_sample)]
    return f"Resume with: {shlex.join([*parts, '--resume'])}"


# Target


def _target_settings(target: str | None) -> Settings:
    """The settings, with the target put in place of the store they name."""
    if target is None:
        return load_settings(backend=Backend.QDRANT)
    if "://" in target:
        return load_settings(backend=Backend.QDRANT, qdrant_url=target)
    return load_settings(backend=Backend.QDRANT, qdrant_url=None, storage_path=Path(target).expanduser().absolute())


def _address(settings: Settings) -> str:
    """As it is shown and recorded: an absolute path, or the server's addresses without credentials, and the collection."""
    if not settings.qdrant_urls:
        return str(settings.qdrant_path.absolute())
    return ",".join(map(_without_credentials, settings.qdrant_urls)) + f"#{settings.collection}"


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


@asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[None]:
    """An embedded store for this process alone: an owner that has it open makes room, and takes it back afterwards."""
    if settings.qdrant_urls:
        yield
        return
    StorageFolder(settings.qdrant_path).look()
    async with exclusive_use(identify(settings), reason="a migration brings memories in"):
        yield


# Signals


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM asks to stop after the batch; the next one ends the process as usual."""
    asked = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        print("Stopping after this batch ...", file=sys.stderr)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        restore()

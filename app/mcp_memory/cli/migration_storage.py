"""`memory migrate storage`: from any of our backends to any other, vectors and all."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mcp_memory.cli import exits
from mcp_memory.cli.migration import checkpoint_path, conclude, flags
from mcp_memory.cli.migration_bar import terminal_progress
from mcp_memory.cli.migration_end import Outcome, run_to_the_end, stop_on_signals
from mcp_memory.cli.migration_places import Place
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.select import build_embedder
from mcp_memory.embedding_settings import embedding_options
from mcp_memory.migration.kept_vectors import KeptVectors
from mcp_memory.migration.migration import Migration
from mcp_memory.migration.origin import StorageOrigin
from mcp_memory.migration.plan import MigrationOptions, Validation, check_places
from mcp_memory.migration.target import Target
from mcp_memory.storage.base import UpsertMode, opened

WHY = "its memories are moved to another backend"


@dataclass(frozen=True, slots=True)
class StorageWishes:
    """The command line."""

    source: str | None
    target: str
    checkpoint: Path | None
    report: Path | None
    batch_size: int
    resume: bool
    merge: bool
    reembed: bool
    validation: Validation
    validate_sample: int | None
    source_key_file: Path | None


def run_storage(wishes: StorageWishes, outcome: Outcome) -> int:
    """The exit code: 0 when everything is in the target and right, 1 when something failed, 130 when it was stopped."""
    key = {} if wishes.source_key_file is None else {"qdrant_api_key": _secret(wishes.source_key_file)}
    source, target = (
        Place.named(wishes.source, option="--source", **key),
        Place.named(wishes.target, option="--target"),
    )
    checkpoint = checkpoint_path(wishes.checkpoint, target, "storage_migration_checkpoint.json")
    work = _run(wishes, source, target, checkpoint, outcome)
    return run_to_the_end(work, checkpoint, _again(wishes, checkpoint), outcome)


async def _run(wishes: StorageWishes, source: Place, target: Place, checkpoint: Path, outcome: Outcome) -> int:
    check_places(source.address, target.address)
    async with AsyncExitStack() as stack:
        stored = await source.stored_model()
        embedder = await _embedder(wishes, target, stored)
        stack.push_async_callback(embedder.close)
        await target.adopt_stored(embedder)
        await stack.enter_async_context(source.alone(WHY))
        await stack.enter_async_context(target.alone("a migration brings memories in"))
        model = stored or embedder.identity
        storage = source.storage(model)
        await stack.enter_async_context(opened(storage))
        origin = StorageOrigin(storage, source.address, source.engine, model)
        goal = Target(target.address, target.engine, target.storage(embedder.identity), embedder.identity)
        options = MigrationOptions(
            checkpoint=checkpoint,
            batch_size=wishes.batch_size,
            validation=wishes.validation,
            sample_size=wishes.validate_sample or 0,
            resume=wishes.resume,
            merge=wishes.merge,
            reembed=wishes.reembed,
            mode=UpsertMode.INSERT if wishes.merge else UpsertMode.COPY,
        )
        with terminal_progress("Migrated") as progress, stop_on_signals() as stopping:
            report = await Migration(origin, goal, embedder, options, progress, stopping=stopping).run()
    outcome |= conclude(report, wishes.report or checkpoint.with_name("storage_migration_report.json"))
    return exits.OK if report.succeeded else exits.FAILURE


async def _embedder(wishes: StorageWishes, target: Place, stored: ModelIdentity | None) -> Embedder:
    """The settings' model where texts are embedded, or where the source doesn't tell its own; else none at all."""
    if stored is not None and not wishes.reembed:
        return KeptVectors(stored)
    return await asyncio.to_thread(build_embedder, embedding_options(target.settings))


def _secret(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidInputError(f"--source-key-file: can't read {path}: {error.strerror or error}.") from error


def _again(wishes: StorageWishes, checkpoint: Path) -> list[str]:
    source = ["--source", wishes.source] if wishes.source else []
    key = ["--source-key-file", str(wishes.source_key_file)] if wishes.source_key_file else []
    parts = ["memory", "migrate", "storage", *source, *key, "--target", wishes.target]
    parts += ["--checkpoint", str(checkpoint), "--batch-size", str(wishes.batch_size)]
    return [*parts, *flags(wishes.validation, wishes.validate_sample, merge=wishes.merge, reembed=wishes.reembed)]

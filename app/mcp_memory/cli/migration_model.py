"""`memory migrate model`, `rollback`, `prune`: another embedding model for a store, the way back, and what is kept for it."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_memory.cli import exits
from mcp_memory.cli.migration import checkpoint_path
from mcp_memory.cli.migration_bar import terminal_progress
from mcp_memory.cli.migration_end import Outcome, run_to_the_end, stop_on_signals
from mcp_memory.cli.migration_places import Place
from mcp_memory.cli.output import agreed, count
from mcp_memory.config import load_settings
from mcp_memory.domain.errors import StorageFullError
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.choice import choose_provider
from mcp_memory.embedding.select import build_embedder
from mcp_memory.embedding_settings import embedding_options
from mcp_memory.migration.differences import losses
from mcp_memory.migration.model_change import ModelChange, ModelChangeReport
from mcp_memory.migration.model_change_plan import ModelChangeOptions, check_old_model
from mcp_memory.migration.progress import about
from mcp_memory.migration.same_vectors import adopt, short_name
from mcp_memory.storage.base import BaseStorage, opened
from mcp_memory.storage.succession import StoredCollection, Succession, backup_beginning, backup_name, find_backup

SAMPLE = 64
WHY = "its embedding model changes"


@dataclass(frozen=True, slots=True)
class ModelWishes:
    """The command line."""

    old_model: str
    new_model: str
    storage: str | None
    checkpoint: Path | None
    batch_size: int
    dry_run: bool
    resume: bool
    keep_backup: bool


def run_model(wishes: ModelWishes, outcome: Outcome) -> int:
    """The exit code: 0 when the new model answers, 130 when it was stopped; else the old one goes on."""
    place = Place.named(wishes.storage, **_model_settings(wishes.new_model))
    checkpoint = checkpoint_path(wishes.checkpoint, place, "model_migration_checkpoint.json")
    again = _again(wishes, checkpoint)
    work = _run(wishes, place, checkpoint, outcome)
    return run_to_the_end(work, None if wishes.dry_run else checkpoint, again, outcome)


def _model_settings(model: str) -> dict[str, Any]:
    """The new model by its name. Where the settings still name another one, its path and provider aren't the new one's."""
    settings = load_settings()
    chosen: dict[str, Any] = {"embedding_model": model}
    if short_name(settings.external_embedding_model or settings.embedding_model) != short_name(model):
        chosen |= {"embedding_model_path": None, "embedding_provider": None, "external_embedding_model": None}
    return chosen


async def _run(wishes: ModelWishes, place: Place, checkpoint: Path, outcome: Outcome) -> int:
    async with AsyncExitStack() as stack:
        succession = await stack.enter_async_context(place.succession())
        present = await succession.present()
        if not wishes.resume:
            check_old_model(present, wishes.old_model, place.address)
        embedder = await asyncio.to_thread(build_embedder, embedding_options(place.settings))
        stack.push_async_callback(embedder.close)
        adopted = await adopt(present.model, succession.storage(present), embedder)
        if adopted and not wishes.resume:
            outcome |= {"memories": 0, "model": embedder.identity.name, "kept": True}
            print(
                f"{embedder.identity.name} gives the vectors that {place.address} holds: nothing is embedded anew, and its "
                "services start as they are."
            )
            return exits.OK
        if wishes.dry_run:
            outcome |= await _dry_run(succession.storage(present), embedder, _by_what(place))
            return exits.OK
        options = ModelChangeOptions(
            checkpoint=checkpoint,
            old_model=wishes.old_model,
            batch_size=wishes.batch_size,
            resume=wishes.resume,
            keep_backup=wishes.keep_backup,
            settle_seconds=place.settings.qdrant_seconds,
        )
        with terminal_progress("Re-embedded", every=100) as progress, stop_on_signals() as stopping:
            report = await ModelChange(
                succession, embedder, options, progress, alone=lambda: place.alone(WHY), stopping=stopping
            ).run()
    outcome |= _conclude(report, place)
    return exits.OK


def _conclude(report: ModelChangeReport, place: Place) -> Outcome:
    if report.caught_up:
        print(f"Written meanwhile and brought over: {report.caught_up:,}")
    print(f"{report.memories:,} memories of {report.address} are embedded by {report.new.name} now.")
    if report.backup is not None:
        print(f"To go back: {_way_back(report.backup, place)}")
    print(f"Start its services with MCP_EMBEDDING_MODEL={report.new.name}")
    return {
        "storage": report.address,
        "memories": report.memories,
        "old_model": report.old.name,
        "model": report.new.name,
        "caught_up": report.caught_up,
        "backup": report.backup,
    }


def _way_back(backup: str, place: Place) -> str:
    """The command as it works wherever it is typed."""
    return shlex.join(["memory", "migrate", "rollback", "--backup-collection", backup, "--storage", place.address])


def _by_what(place: Place) -> str:
    match choose_provider(embedding_options(place.settings)):
        case "openai":
            return "through the endpoint"
        case "sentence-transformers":
            return "on this machine"
        case _:
            return "with CPU"


async def _dry_run(storage: BaseStorage, embedder: Embedder, by_what: str) -> Outcome:
    """How long it will take here: some of the stored texts are embedded, nothing is written."""
    async with opened(storage):
        total = await storage.count(EVERYTHING)
        first: list[EmbeddedMemory] = await anext(aiter(storage.iterate(batch_size=SAMPLE)), [])
    print(f"Found {total:,} memories with old model")
    texts = [item.memory.content for item in first]
    each: float | None = None
    if texts:
        await embedder.embed_documents(texts[:1])  # the first text pays for what is loaded late
        started = time.perf_counter()
        await embedder.embed_documents(texts)
        each = (time.perf_counter() - started) / len(texts)
        print(f"Estimated re-embedding time: ~{about(total * each)} {by_what} (measured: {1 / each:,.0f} memories/s)")
    print("Note: Re-embedding is CPU/GPU intensive")
    return {
        "dry_run": True,
        "memories": total,
        "estimated_seconds": None if each is None else round(total * each, 1),
    }


def _again(wishes: ModelWishes, checkpoint: Path) -> list[str]:
    parts = ["memory", "migrate", "model", "--old-model", wishes.old_model, "--new-model", wishes.new_model]
    parts += ["--storage", wishes.storage] if wishes.storage else []
    parts += ["--checkpoint", str(checkpoint), "--batch-size", str(wishes.batch_size)]
    return [*parts, *([] if wishes.keep_backup else ["--no-keep-backup"])]


# The way back


def run_rollback(wanted: str, storage: str | None, outcome: Outcome) -> int:
    """Let a backup answer again; the collection that answers now is kept as a backup of its own."""
    return run_to_the_end(_rollback(wanted, Place.named(storage), outcome), None, [], outcome)


async def _rollback(wanted: str, place: Place, outcome: Outcome) -> int:
    async with place.succession() as succession:
        backup = find_backup(wanted, await succession.backups(), place.address)
        present = await succession.present()
        kept = backup_name(succession.name, present.model, datetime.now(UTC))
        async with place.alone("its embedding model is rolled back"):
            print(f"Swapping collections: {succession.name} → {kept}, {backup.name} → {succession.name}", flush=True)
            await succession.roll_back(backup, keep_as=kept)
    print(f"What was stored since the change is in {kept} alone. To go forward again:")
    print(f"  {_way_back(kept, place)}")
    print("To bring it over: go forward as above, write it out, roll back again, and read it in (what is there stays):")
    print(f"  {_with(place, present.model)} memory export since.jsonl")
    print(f"  {_way_back(backup_beginning(succession.name, backup.model), place)}")
    print(f"  {_with(place, backup.model)} memory import since.jsonl")
    outcome |= {"storage": place.address, "model": backup.model.name, "answers": backup.name, "kept_as": kept}
    print(f"Start the services of {place.address} with MCP_EMBEDDING_MODEL={backup.model.name}")
    return exits.OK


def _with(place: Place, model: ModelIdentity) -> str:
    """The settings of another command for this store and model."""
    chosen = {"MCP_EMBEDDING_MODEL": model.name}
    if place.on_server:
        chosen |= {
            "MCP_QDRANT_URL": ",".join(place.settings.qdrant_urls),
            "MCP_QDRANT_COLLECTION": place.settings.collection,
        }
    else:
        chosen["MCP_QDRANT_STORAGE_PATH"] = place.address
    return shlex.join(["env", *(f"{name}={value}" for name, value in chosen.items())])


# What is kept


def run_prune(names: Sequence[str], storage: str | None, outcome: Outcome, *, every: bool, yes: bool) -> int:
    """Delete backups, and collections of changes that were never finished; without names, list them."""
    work = _prune(names, Place.named(storage), outcome, every=every, yes=yes)
    return run_to_the_end(work, None, [], outcome)


async def _prune(names: Sequence[str], place: Place, outcome: Outcome, *, every: bool, yes: bool) -> int:
    async with place.succession() as succession:
        backups, unfinished = await succession.backups(), await succession.unfinished()
        there = [*backups, *unfinished]
        if not names and not every:
            _list(there, place)
            outcome["backups"] = [
                {"name": one.name, "model": one.model.name, "dimensions": one.model.dimensions} for one in there
            ]
            return exits.OK
        outcome["deleted"] = []
        chosen = list(backups) if every else [find_backup(name, there, place.address) for name in names]
        if not chosen:
            _list(chosen, place)
            return exits.OK
        for one in chosen:
            print(f"{_described(one)}: {await _losses(succession, one)}", flush=True)
        if not yes and not agreed("Delete these with their memories?"):
            print("Nothing was deleted.")
            return exits.FAILURE
        async with place.alone("old backups are deleted"):
            for one in chosen:
                await succession.delete(one)
                print(f"Deleted: {one.name}")
                outcome["deleted"].append(one.name)
    return exits.OK


async def _losses(succession: Succession, doomed: StoredCollection) -> str:
    """What only this collection has, in words: the one that answers lacks it."""
    present = await succession.present()
    try:
        async with succession.reading(doomed) as one, succession.reading(present) as other:
            lost = await losses(one, other)
    except StorageFullError as error:
        return f"what it alone has can't be counted. {error.message}"
    parts = [f"{count(lost.only_there)} only there"] if lost.only_there else []
    parts += [f"{count(lost.newer_there)} in a newer state"] if lost.newer_there else []
    return f"{' and '.join(parts)}, lost with it" if parts else "nothing that the collection in use lacks"


def _described(one: StoredCollection) -> str:
    return f"{one.name}  ({one.model.name}, {one.model.dimensions} dimensions)"


def _list(collections: Sequence[StoredCollection], place: Place) -> None:
    if not collections:
        print(f"There are no backups in {place.address}.")
    for one in collections:
        print(_described(one))

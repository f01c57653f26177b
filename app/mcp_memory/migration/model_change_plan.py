"""What a change of the embedding model is asked for, and whether it may begin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.migration.checkpoint import Checkpoint, ModelChangeMark, SourceMark, TargetMark
from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.migration.same_vectors import short_name
from mcp_memory.storage.base import opened
from mcp_memory.storage.succession import StoredCollection, Succession

KIND = "model change"


@dataclass(frozen=True, slots=True)
class ModelChangeOptions:
    checkpoint: Path
    old_model: str
    batch_size: int = 50
    resume: bool = False
    keep_backup: bool = True
    settle_seconds: float = 10.0
    """How long a write may be under way to the old collection when the new one takes over: the clients' time-out."""


async def begin(
    succession: Succession, present: StoredCollection, model: ModelIdentity, options: ModelChangeOptions
) -> Checkpoint:
    """The checkpoint of a change of `present` to `model`: that of the run before with `options.resume`, else a new one.

    Nothing is written. Raises MigrationRefusedError where the change makes no sense or a checkpoint is another's.
    """
    source = SourceMark(succession.address, KIND, None)
    target = TargetMark(succession.address, model.name, model.fingerprint, model.dimensions)
    if options.resume:
        checkpoint = Checkpoint.load(options.checkpoint)
        checkpoint.check(options.checkpoint, source, target)
        if checkpoint.model_change is None:
            raise MigrationRefusedError(f"The checkpoint {options.checkpoint} is not that of a model change.")
        return checkpoint
    check_old_model(present, options.old_model, succession.address)
    if present.model.fingerprint == model.fingerprint:
        raise MigrationRefusedError(
            f"The memories of {succession.address} have been embedded by {model.name} already. Nothing to do."
        )
    for begun in await succession.unfinished():
        if begun.model.fingerprint == model.fingerprint:
            raise MigrationRefusedError(
                f"A change to {model.name} was begun before, and its collection {begun.name} is there.\n"
                "  --resume  goes on with it (with its --checkpoint)\n"
                f"  memory migrate prune {begun.name}  deletes it"
            )
    storage = succession.storage(present)
    async with opened(storage):
        total = await storage.count(EVERYTHING)
    checkpoint = Checkpoint.begin(source, target, total, reembed=True, merge=False)
    checkpoint.model_change = ModelChangeMark(present.model.name, present.model.fingerprint, "")
    return checkpoint


def check_old_model(present: StoredCollection, named: str, address: str) -> None:
    """Raises MigrationRefusedError where the stored memories are of another model than the one named."""
    if short_name(named) != short_name(present.model.name):
        raise MigrationRefusedError(
            f"The memories of {address} were embedded by {present.model.name}, not by {named}: --old-model {present.model.name}"
        )

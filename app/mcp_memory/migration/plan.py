"""What a migration is asked to do, and whether that can be done without losing or mixing anything."""

from __future__ import annotations

import os
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mcp_memory.embedding.base import Embedder
from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.migration.origin import Origin
from mcp_memory.migration.same_vectors import SAME_MODEL, SAMPLE, SAMPLE_READ, median_cosine, short_name
from mcp_memory.migration.sources.base import SourceReport
from mcp_memory.migration.target import Target
from mcp_memory.storage.base import UpsertMode

SAMPLE_CHARACTERS = 400
"""Short enough to be one window for every model, and whole for the original, which embeds the first 128 tokens."""


class Validation(Enum):
    DURING = "during"
    """After each batch, all of it."""
    SAMPLE = "sample"
    """At the end, some."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    checkpoint: Path
    batch_size: int = 100
    validation: Validation = Validation.DURING
    sample_size: int = 0
    resume: bool = False
    merge: bool = False
    """Add to a target that holds other memories; those that it has are kept as they are."""
    reembed: bool = False
    """Leave the source's vectors and embed every text anew."""
    mode: UpsertMode = UpsertMode.INSERT


def check_places(source: Path | str, address: str) -> None:
    """Raises MigrationRefusedError where source and target are one place, or one lies inside the other."""
    if "://" in address or "://" in str(source):
        if str(source) == address:
            raise MigrationRefusedError(f"Source and target are the same: {address}.")
        return
    one, other = Path(os.path.realpath(source)), Path(os.path.realpath(address))
    if one == other or one in other.parents or other in one.parents:
        raise MigrationRefusedError(
            f"The source {source} and the target {address} are the same place, or one lies in the other.\n"
            "Name another folder for the target (--target), and set MCP_QDRANT_STORAGE_PATH to it afterwards."
        )


async def check_model(origin: Origin, report: SourceReport, target: Target, embedder: Embedder) -> None:
    """Raises MigrationRefusedError, naming the choices, where the source's vectors aren't of the target's model.

    What the source records decides; where it records nothing, as the original does, some of its texts are embedded and compared.
    """
    ours = target.model
    if report.dimensions is None:
        return  # no vector to mix up: everything is embedded
    theirs = report.model or "the model that made them"
    if report.dimensions != ours.dimensions:
        raise _other_model(report, theirs, f"{report.dimensions} dimensions", target)
    if report.model is not None:
        if short_name(report.model) != short_name(ours.name):
            raise _other_model(report, theirs, f"the model {report.model}", target)
        return
    near = await _sampled_cosine(origin, embedder)
    if near is not None and near < SAME_MODEL:
        raise _other_model(
            report,
            "the model that made them",
            f"another model (cosine {near:.2f} with {ours.name} over a sample)",
            target,
        )


async def keeps_vectors(origin: Origin, report: SourceReport, target: Target, embedder: Embedder) -> bool:
    """Whether the source's vectors are the target's model's; False where nobody promised it and they aren't.

    Raises MigrationRefusedError as check_model.
    """
    try:
        await check_model(origin, report, target, embedder)
    except MigrationRefusedError:
        if report.any_vectors:
            return False
        raise
    return True


def _other_model(report: SourceReport, theirs: str, what: str, target: Target) -> MigrationRefusedError:
    return MigrationRefusedError(
        f"The vectors of {report.path} are of {what}; the target takes those of {target.model.name} "
        f"({target.model.dimensions} dimensions).\n"
        "Either embed the texts anew on the way:\n"
        "  --reembed\n"
        f"or stop here, set MCP_EMBEDDING_MODEL to {theirs}, and run this again."
    )


async def _sampled_cosine(origin: Origin, embedder: Embedder) -> float | None:
    """The median over some short texts; None where there are none with a vector."""
    async with aclosing(origin.batches(None, size=SAMPLE_READ)) as batches:
        first = await anext(batches, None)
    sample = [
        (item.memory.content, item.vector)
        for item in (first.memories if first else ())
        if item.vector is not None and len(item.memory.content) <= SAMPLE_CHARACTERS
    ][:SAMPLE]
    return await median_cosine(sample, embedder)

"""`memory migrate`: memories of other stores brought in. The work is done in mcp_memory.migration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_memory.cli import exits
from mcp_memory.domain.errors import InvalidInputError, MemoryServiceError

if TYPE_CHECKING:
    from mcp_memory.cli.migration import SqliteWishes

migrate_app = typer.Typer(name="migrate", help="Bring in the memories of other stores.", no_args_is_help=True)


@migrate_app.callback()
def migrate() -> None:
    """Bring in the memories of other stores."""


@migrate_app.command()
def sqlite(
    *,
    source: Annotated[
        Path | None,
        typer.Option(help="Database, JSON export or qdrant-client folder. Default: sqlite_vec.db in the base folder."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Storage folder, or URL of a Qdrant server. Default: what the settings name.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Where progress is kept. Default: migration_checkpoint.json in the base folder.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where the report goes. Default: migration_report.json beside the checkpoint.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=10_000, help="Memories at a time.")] = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and estimate; change nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted migration.")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Add to a target that holds memories already.")] = False,
    reembed: Annotated[bool, typer.Option("--reembed", help="Embed every text anew, with the target's model.")] = False,
    validate_during: Annotated[
        bool, typer.Option("--validate-during", help="Compare every memory after its batch (the default).")
    ] = False,
    validate_sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Compare N memories at the end instead.")
    ] = None,
    no_validate: Annotated[bool, typer.Option("--no-validate", help="Compare nothing.")] = False,
) -> None:
    """Bring the memories of an original database into Qdrant. The source is only read."""
    from mcp_memory.cli.migration import SqliteWishes, run_sqlite  # noqa: PLC0415  (seconds of imports)

    if validate_during + (validate_sample is not None) + no_validate > 1:
        raise InvalidInputError("--validate-during, --validate-sample and --no-validate exclude each other.")
    wishes: SqliteWishes = SqliteWishes(
        source=source,
        target=target,
        checkpoint=checkpoint,
        report=report,
        batch_size=batch_size,
        dry_run=dry_run,
        resume=resume,
        merge=merge,
        reembed=reembed,
        validate_sample=validate_sample,
        no_validate=no_validate,
        shown_as=_shown_as(),
    )
    raise typer.Exit(run_sqlite(wishes))


_script: list[str] = []


def _shown_as() -> list[str]:
    """How a person typed this command, for the line that tells how to resume."""
    return _script or ["memory", "migrate", "sqlite"]


def run_script(command: str, script: str) -> None:
    """Run one of the commands by the name that the user guide gives its script."""
    _script[:] = ["python", script]
    try:
        migrate_app([command, *sys.argv[1:]], prog_name=f"python {script}")
    except MemoryServiceError as error:
        exits.end_with(error)

"""`memory migrate`: moving in and moving on. The work is done in mcp_memory.migration."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_memory.cli import exits
from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import print_json
from mcp_memory.domain.errors import InvalidInputError, MemoryServiceError

if TYPE_CHECKING:
    from mcp_memory.cli.migration_end import Outcome
    from mcp_memory.migration.plan import Validation

ABOUT = "Bring in the memories of other stores; change the embedding model or the backend."
migrate_app = typer.Typer(name="migrate", help=ABOUT, no_args_is_help=True)

Checkpoint = Annotated[Path | None, typer.Option(help="Where progress is kept. Default: a file in the base folder.")]
Report = Annotated[Path | None, typer.Option(help="Where the report goes. Default: beside the checkpoint.")]
BatchSize = Annotated[int, typer.Option(min=1, max=10_000, help="Memories at a time.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted migration.")]
Merge = Annotated[bool, typer.Option("--merge", help="Add to a target that holds memories already.")]
Reembed = Annotated[bool, typer.Option("--reembed", help="Embed every text anew, with the target's model.")]
ValidateDuring = Annotated[
    bool, typer.Option("--validate-during", help="Compare every memory after its batch (the default).")
]
ValidateSample = Annotated[int | None, typer.Option(min=1, metavar="N", help="Compare N memories at the end instead.")]
NoValidate = Annotated[bool, typer.Option("--no-validate", help="Compare nothing.")]
Storage = Annotated[
    str | None, typer.Option(help="Storage folder, or URL of a Qdrant server. Default: what the settings name.")
]


@migrate_app.callback(help=ABOUT)
def migrate() -> None:
    """A group of commands, however many there are."""


@migrate_app.command()
def sqlite(
    *,
    source: Annotated[
        Path | None,
        typer.Option(help="Database, JSON export or qdrant-client folder. Default: sqlite_vec.db in the base folder."),
    ] = None,
    target: Storage = None,
    checkpoint: Checkpoint = None,
    report: Report = None,
    batch_size: BatchSize = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and estimate; change nothing.")] = False,
    resume: Resume = False,
    merge: Merge = False,
    reembed: Reembed = False,
    validate_during: ValidateDuring = False,
    validate_sample: ValidateSample = None,
    no_validate: NoValidate = False,
    as_json: AsJson = False,
) -> None:
    """Bring the memories of an original database into Qdrant. The source is only read."""
    from mcp_memory.cli.migration import SqliteWishes, run_sqlite  # noqa: PLC0415  (seconds of imports)

    wishes = SqliteWishes(
        source=source,
        target=target,
        checkpoint=checkpoint,
        report=report,
        batch_size=batch_size,
        dry_run=dry_run,
        resume=resume,
        merge=merge,
        reembed=reembed,
        validation=_validation(during=validate_during, sample=validate_sample, none=no_validate),
        validate_sample=validate_sample,
    )
    _finish(lambda outcome: run_sqlite(wishes, outcome), as_json=as_json)


@migrate_app.command("storage")
def backend(
    *,
    target: Annotated[str, typer.Option(help="Storage folder, URL of a Qdrant server, or an sqlite_vec database.")],
    source: Annotated[str | None, typer.Option(help="The same. Default: what the settings name.")] = None,
    source_key_file: Annotated[
        Path | None, typer.Option(help="File with the API key of the source's server, where it isn't the settings'.")
    ] = None,
    checkpoint: Checkpoint = None,
    report: Report = None,
    batch_size: BatchSize = 500,
    resume: Resume = False,
    merge: Merge = False,
    reembed: Reembed = False,
    validate_during: ValidateDuring = False,
    validate_sample: ValidateSample = None,
    no_validate: NoValidate = False,
    as_json: AsJson = False,
) -> None:
    """Copy every memory from one backend to another, with its vector. The source stays as it is."""
    from mcp_memory.cli.migration_storage import StorageWishes, run_storage  # noqa: PLC0415  (seconds of imports)

    wishes = StorageWishes(
        source=source,
        target=target,
        checkpoint=checkpoint,
        report=report,
        batch_size=batch_size,
        resume=resume,
        merge=merge,
        reembed=reembed,
        validation=_validation(during=validate_during, sample=validate_sample, none=no_validate),
        validate_sample=validate_sample,
        source_key_file=source_key_file,
    )
    _finish(lambda outcome: run_storage(wishes, outcome), as_json=as_json)


@migrate_app.command()
def model(
    *,
    old_model: Annotated[str, typer.Option(help="The model that the stored memories were embedded by.")],
    new_model: Annotated[str, typer.Option(help="The model to embed them by from now on.")],
    storage: Storage = None,
    checkpoint: Checkpoint = None,
    batch_size: BatchSize = 50,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and estimate; change nothing.")] = False,
    resume: Resume = False,
    keep_backup: Annotated[
        bool, typer.Option("--keep-backup/--no-keep-backup", help="Keep the old collection for the way back.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Embed every stored memory anew with another model, beside the store that goes on answering, then swap."""
    from mcp_memory.cli.migration_model import ModelWishes, run_model  # noqa: PLC0415  (seconds of imports)

    wishes = ModelWishes(
        old_model=old_model,
        new_model=new_model,
        storage=storage,
        checkpoint=checkpoint,
        batch_size=batch_size,
        dry_run=dry_run,
        resume=resume,
        keep_backup=keep_backup,
    )
    _finish(lambda outcome: run_model(wishes, outcome), as_json=as_json)


@migrate_app.command()
def rollback(
    *,
    backup_collection: Annotated[
        str, typer.Option(help="The backup to go back to: its name, or as much of it as no other backup begins with.")
    ],
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Let the collection of a model before answer again. The present one is kept as a backup."""
    from mcp_memory.cli.migration_model import run_rollback  # noqa: PLC0415  (seconds of imports)

    _finish(lambda outcome: run_rollback(backup_collection, storage, outcome), as_json=as_json)


@migrate_app.command()
def prune(
    names: Annotated[list[str] | None, typer.Argument(help="Backups to delete; none: list them.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Delete every backup.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """List or delete what model changes have kept."""
    from mcp_memory.cli.migration_model import run_prune  # noqa: PLC0415  (seconds of imports)

    _finish(lambda outcome: run_prune(names or [], storage, outcome, every=every, yes=yes), as_json=as_json)


def _finish(run: Callable[[Outcome], int], *, as_json: bool) -> None:
    """End the process with the command's exit code. With `--json` stdout holds what came of it, and stderr the progress."""
    outcome: Outcome = {}
    if not as_json:
        raise typer.Exit(run(outcome))
    with redirect_stdout(sys.stderr):
        code = run(outcome)
    print_json(outcome)
    raise typer.Exit(code)


def _validation(*, during: bool, sample: int | None, none: bool) -> Validation:
    from mcp_memory.migration.plan import Validation  # noqa: PLC0415  (numpy)

    if during + (sample is not None) + none > 1:
        raise InvalidInputError("--validate-during, --validate-sample and --no-validate exclude each other.")
    if none:
        return Validation.NONE
    return Validation.DURING if sample is None else Validation.SAMPLE


def run_script(command: Callable[..., Any], script: str) -> None:
    """Run one of the commands by the name that the user guide gives its script."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command()(command)
    try:
        alone(sys.argv[1:], prog_name=f"python {script}")
    except MemoryServiceError as error:
        exits.end_with(error)

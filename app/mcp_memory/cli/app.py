"""The `memory` command and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from mcp_memory import __version__
from mcp_memory.cli.backup import backup, restore
from mcp_memory.cli.collection import drop, init
from mcp_memory.cli.doctor import doctor
from mcp_memory.cli.find import list_memories, search
from mcp_memory.cli.forget import delete
from mcp_memory.cli.key import key
from mcp_memory.cli.migrate import migrate_app
from mcp_memory.cli.move import move
from mcp_memory.cli.serve import healthcheck, mcp, owner, server
from mcp_memory.cli.statistics import optimize, stats, tags
from mcp_memory.cli.store import store
from mcp_memory.cli.transfer import export, import_

app = typer.Typer(
    name="memory",
    help="Semantic memory: store short texts, find them again by meaning, words, tags and time.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(server)
app.command()(mcp)
app.command(hidden=True)(owner)
app.command()(store)
app.command()(search)
app.command("list")(list_memories)
app.command()(delete)
app.command()(move)
app.command()(tags)
app.command()(export)
app.command("import")(import_)
app.command()(stats)
app.command()(doctor)
app.command()(optimize)
app.command()(init)
app.command()(drop)
app.command()(backup)
app.command()(restore)
app.command()(healthcheck)
app.command()(key)
app.add_typer(migrate_app)


@app.callback(invoke_without_command=True)
def memory(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"memory {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


def run() -> None:
    """Run the command line."""
    app(prog_name="memory")

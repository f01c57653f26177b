"""Console scripts. Commands that must start in a blink go their way before Typer, Rich or the settings are imported."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable

from mcp_memory import __version__
from mcp_memory.cli.original_commands import INSTEAD, answer_in_words, translated
from mcp_memory.cli.server_options import apply, only_settings
from mcp_memory.terminal import protect

SERVER_HELP = """\
usage: memory-server [--debug] [-s BACKEND] [--http | --sse | --streamable-http] [--version] [--help]

MCP Memory Service: speaks MCP on stdin and stdout, as an assistant's configuration expects it to.

  --debug                      log at DEBUG
  -s, --storage-backend NAME   as MCP_MEMORY_STORAGE_BACKEND
  --http, --sse, ...           an HTTP service instead, with the options of:  memory server --help
  --version, --help"""
DEPRECATED = (
    "memory-server is deprecated: the original's name, kept for configurations that have it. Use  memory mcp  (stdin and stdout) "
    "or  memory server --http"
)


def main() -> None:
    """`memory`."""
    protect()
    sys.argv[1:] = translated(sys.argv[1:])
    match sys.argv[1:]:
        case ["--version"]:
            print(f"memory {__version__}")
        case [command, *options] if command in INSTEAD and not {"-h", "--help"} & set(options):
            answer_in_words(command)
        case [] if started_by_mcp_client():
            print(
                "Use `memory server` or `memory mcp`: `memory` alone is what the original takes for it.",
                file=sys.stderr,
            )
            stdio()
        case ["mcp"]:
            stdio()
        case ["healthcheck"]:
            from mcp_memory.cli.healthcheck import healthcheck  # noqa: PLC0415

            sys.exit(healthcheck())
        case ["server", *options] if only_settings(options) and started_by_mcp_client():
            apply(options)
            from mcp_memory.cli.bridge import serve_stdio  # noqa: PLC0415

            print(
                "stdin and stdout are pipes: speaking MCP on them, as an MCP client expects. For HTTP:  memory server --http",
                file=sys.stderr,
            )
            if serve_stdio():
                return
            print("stdin was closed without a message: serving HTTP.", file=sys.stderr)
            _run(_serve)
        case ["owner"]:
            _run(_own)
        case ["server"] | ["server", "--http"]:
            _run(_serve)
        case _:
            _run(_typer)


def stdio() -> None:
    """`memory mcp`."""
    from mcp_memory.cli.bridge import serve_stdio  # noqa: PLC0415

    protect()
    serve_stdio()


def memory_server() -> None:
    """`memory-server` and `mcp-memory-server`, which configurations of the original's clients name: MCP on stdin and stdout.

    Options that say another transport, and unknown ones, are those of `memory server`.
    """
    protect()
    match sys.argv[1:]:
        case options if {"-h", "--help"} & set(options):
            print(SERVER_HELP)
            print(DEPRECATED, file=sys.stderr)
        case ["--version"]:
            print(f"memory {__version__}")
            print(DEPRECATED, file=sys.stderr)
        case options if only_settings(options):
            apply(options)
            stdio()
        case options:
            sys.argv[1:] = ["server", *options]
            main()


def started_by_mcp_client() -> bool:
    """Whether stdin and stdout are both pipes (or the socket pairs that Node uses): what MCP clients give a server.

    A terminal, a file, /dev/null (systemd, nohup, a shell's `&`, containers) is not.
    """
    return _is_pipe(0) and _is_pipe(1)


def _is_pipe(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _run(command: Callable[[], None]) -> None:
    from mcp_memory.cli.exits import ending_in_words  # noqa: PLC0415

    ending_in_words(command)


def _serve() -> None:
    """A server without options: its master process lives long, and does without Typer and Rich."""
    from mcp_memory.cli.foreground import serve  # noqa: PLC0415

    sys.exit(serve({}))


def _own() -> None:
    """A background owner: whoever started it reads in one line on stdout why it can't begin."""
    try:
        from mcp_memory.cli.background import own  # noqa: PLC0415

        own()
    except ImportError as error:
        from mcp_memory.native import unloadable  # noqa: PLC0415

        if (problem := unloadable(error)) is not None:
            report = {"ready": False, "code": problem.code, "message": problem.message}
            os.write(1, json.dumps(report).encode() + b"\n")
        raise


def _typer() -> None:
    from mcp_memory.cli.app import run  # noqa: PLC0415

    run()

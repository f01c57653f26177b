"""Exit codes of the `memory` command, and how an error ends it: in words, on stderr, without a traceback."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from mcp_memory.domain.errors import (
    ConfigurationError,
    DimensionMismatchError,
    EmbeddingError,
    InvalidInputError,
    MemoryNotFoundError,
    MemoryServiceError,
    ModelChangedError,
    StorageError,
    StorageFormatError,
    StorageLockedError,
    StorageUnavailableError,
)
from mcp_memory.native import unloadable
from mcp_memory.system.journal import is_journal

OK = 0
FAILURE = 1
USAGE = 2
NOT_FOUND = 3
EX_UNAVAILABLE = 69
"""sysexits.h: the service can't be reached, or can't serve now; trying again later may help."""
EX_CONFIG = 78
"""sysexits.h: the settings don't fit; trying again won't help."""

_CODES: tuple[tuple[type[MemoryServiceError], int], ...] = (
    (ConfigurationError, EX_CONFIG),
    (ModelChangedError, EX_CONFIG),
    (DimensionMismatchError, EX_CONFIG),
    (StorageFormatError, EX_CONFIG),
    (StorageUnavailableError, EX_UNAVAILABLE),
    (StorageLockedError, EX_UNAVAILABLE),
    (EmbeddingError, EX_UNAVAILABLE),
    (InvalidInputError, USAGE),
    (MemoryNotFoundError, NOT_FOUND),
)


def exit_code(error: MemoryServiceError) -> int:
    """The first class that fits decides; anything else is a failure."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILURE)


def words(error: MemoryServiceError) -> str:
    """As the user guide prints it: `StorageError: ...` for every kind of it."""
    return f"StorageError: {error.message}" if isinstance(error, StorageError) else error.message


def end_with(error: MemoryServiceError, *, as_json: bool = False) -> NoReturn:
    """Say what happened and end the process."""
    if as_json:
        print(json.dumps({"error": {"code": error.code, "message": error.message}}))
    print(_in_one_record(words(error)) if is_journal(sys.stderr) else words(error), file=sys.stderr)
    sys.exit(exit_code(error))


def _in_one_record(text: str) -> str:
    from mcp_memory.logs import one_line  # noqa: PLC0415 - structlog is heavy, and most commands end without it

    return one_line(text)


def ending_in_words(run: Callable[[], None]) -> None:
    """Run a command; errors that we expect end it with a message and one of the documented exit codes."""
    as_json = "--json" in sys.argv[1:]
    try:
        run()
    except MemoryServiceError as error:
        end_with(error, as_json=as_json)
    except ImportError as error:
        problem = unloadable(error)
        if problem is None:
            raise
        if sys.argv[1:2] == ["doctor"]:
            from mcp_memory.cli.installation import report_without_libraries  # noqa: PLC0415

            report_without_libraries(problem, as_json=as_json)
            sys.exit(EX_CONFIG)
        end_with(problem, as_json=as_json)
    except BrokenPipeError:
        # `memory list | head`: the reader has what it wanted. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(OK)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)

"""A large migration within a small memory limit that the kernel keeps: `make test-large`."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from original_databases import build_large

ROWS = 200_000
LIMIT = 512 * 1024 * 1024
COMMAND = """
import mcp_memory.migration.migration as migration
async def of_any_model(*_): pass
migration.check_model = of_any_model  # vectors drawn at random are no model's
from mcp_memory.cli.app import run
run()
"""
GROUPS = Path("/sys/fs/cgroup")


def _own_group() -> Path | None:
    """The memory cgroup that this process is in, of version 1 or 2."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                return GROUPS / "memory" / path.lstrip("/")
            if controllers == "" and (GROUPS / "cgroup.controllers").exists():
                return GROUPS / path.lstrip("/")
    return None


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of our own with the limit; swap doesn't help."""
    parent = _own_group()
    made = None if parent is None else parent / f"memory-test-{uuid.uuid4().hex[:8]}"
    try:
        if made is None:
            raise OSError("no memory controller")
        made.mkdir()
        version_1 = (made / "memory.limit_in_bytes").exists()
        (made / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(LIMIT))
        if not version_1:
            (made / "memory.swap.max").write_text("0")
    except OSError as error:
        pytest.skip(
            f"needs a memory cgroup that it may make ({error}): run it as root, or in a container with --privileged"
        )
    yield made
    made.rmdir()


def peak(group: Path) -> int:
    """The most that was charged, page cache included (which the kernel takes back when it is needed)."""
    names = ("memory.max_usage_in_bytes", "memory.peak")
    return next((int((group / name).read_text()) for name in names if (group / name).exists()), 0)


def test_200_000_memories_are_migrated_and_validated_within_512_megabytes(tmp_path: Path, group: Path) -> None:
    database = build_large(tmp_path / "sqlite_vec.db", ROWS)
    environment = {**os.environ, "MCP_MEMORY_BASE_DIR": str(tmp_path / "data"), "MCP_QDRANT_GRAPH_THRESHOLD": "0"}
    command = [sys.executable, "-c", COMMAND, "migrate", "sqlite", "--source", str(database), "--batch-size", "500"]

    done = subprocess.run(
        ["sh", "-c", f'echo $$ > {group / "cgroup.procs"} && exec "$@"', "sh", *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    print(done.stdout[-500:], f"peak {peak(group) / 1e6:,.0f} MB")
    assert done.returncode == 0, done.stderr
    assert f"Validation: {ROWS} memories verified, 0 errors" in done.stdout

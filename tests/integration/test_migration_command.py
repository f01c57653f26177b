"""The guide's migration commands, run as a person runs them, with the real model."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mcp_memory.migration.checkpoint import Checkpoint
from mcp_memory.owner.lock import FileLock, Holder
from model_vectors import vectors_of
from original_databases import Generation, OriginalRow, build, insert, open_original, original_hash

ROOT = Path(__file__).parents[2]
SCRIPT = "scripts/migration/migrate_sqlite_to_qdrant.py"
SUBJECTS = (
    "The release goes out on Tuesday",
    "Tea is in the left cupboard",
    "The disk of host {n} is full",
    "Call Anna back",
)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return [f"{SUBJECTS[number % 4]}, note {number}".format(n=number) for number in range(400)]


@pytest.fixture(scope="session")
def vectors(texts: list[str]) -> np.ndarray:
    return vectors_of(texts)


@pytest.fixture
def database(tmp_path: Path, texts: list[str], vectors: np.ndarray) -> Path:
    rows = [
        OriginalRow(text, vector, tags="note", created_at=1_700_000_000.25 + number)
        for number, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    ]
    (tmp_path / "data").mkdir()
    return build(tmp_path / "data" / "sqlite_vec.db", Generation.V10_59, rows)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "QDRANT_"))}
    return {**clean, "MCP_MEMORY_BASE_DIR": str(tmp_path / "data"), "MCP_QDRANT_DISK_RESERVE_BYTES": "0"}


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """A command, to its end. Owners that commands started in the background end with the test."""

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=250
        )

    yield call
    for record in tmp_path.rglob("owner.json"):
        with suppress(ProcessLookupError):
            os.kill(json.loads(record.read_text(encoding="utf-8"))["pid"], signal.SIGTERM)


def script(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / SCRIPT), *arguments]


def memory(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mcp_memory.cli", *arguments]


STAMP = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] "


def test_the_guides_workflow(run: Run, database: Path, tmp_path: Path, texts: list[str]) -> None:
    target, checkpoint = tmp_path / "data" / "qdrant", tmp_path / "migration_checkpoint.json"
    before = database.read_bytes()

    dry = run(*script("--dry-run", "--source", str(database)))

    assert (dry.returncode, dry.stderr) == (0, "")
    lines = dry.stdout.splitlines()
    assert lines[0] == "Found 400 memories in SQLite"
    assert re.fullmatch(r"Estimated migration time: ~\d+ (second|minute)s? \(batch_size=100\)", lines[1])
    assert not target.exists()

    arguments = ["--source", str(database), "--target", str(target), "--checkpoint", str(checkpoint)]
    done = run(*script(*arguments, "--batch-size", "100", "--validate-during"))

    assert (done.returncode, done.stderr) == (0, "")
    expected = [
        STAMP + "Starting migration from SQLite to Qdrant",
        STAMP + r"Migrated 100/400 \(25\.0%\) - [\d.]+ms avg",
        STAMP + r"Migration complete! 400/400 \(100%\)",
        STAMP + "Validation: 400 memories verified, 0 errors",
        f"Report: {re.escape(str(tmp_path / 'migration_report.json'))}",
    ]
    assert len(done.stdout.splitlines()) == len(expected)
    for line, pattern in zip(done.stdout.splitlines(), expected, strict=True):
        assert re.fullmatch(pattern, line), line
    fields = json.loads(checkpoint.read_text(encoding="utf-8"))
    assert (fields["total_memories"], fields["migrated_count"], fields["failed_hashes"]) == (400, 400, [])
    assert fields["last_successful_hash"] == original_hash(texts[-1])
    report = json.loads((tmp_path / "migration_report.json").read_text(encoding="utf-8"))
    assert (report["migrated"], report["verified"], report["completed"]) == (400, 400, True)
    assert database.read_bytes() == before
    assert [entry.name for entry in database.parent.iterdir() if entry.name.startswith("sqlite")] == ["sqlite_vec.db"]

    again = run(*script(*arguments, "--resume"))
    assert again.returncode == 0
    assert "Migration complete! 400/400 (100%)" in again.stdout
    refused = run(*script(*arguments))
    assert refused.returncode == 2
    assert "holds 400 memories already" in refused.stderr

    found = run(*memory("search", "When is the release?", "--limit", "1", "--json"))
    assert found.returncode == 0, found.stderr
    assert "The release goes out on Tuesday" in found.stdout


def test_a_signal_stops_after_the_batch_and_the_printed_line_goes_on(
    run: Run, environment: dict[str, str], database: Path, tmp_path: Path
) -> None:
    command = script(
        "--source", str(database), "--target", str(tmp_path / "q"), "--checkpoint", str(tmp_path / "c.json")
    )
    for number, wanted in ((signal.SIGINT, "Starting"), (signal.SIGTERM, "Resuming")):
        process = subprocess.Popen(
            [*command, "--batch-size", "2"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stderr is not None
        while "Migrated" not in (line := process.stdout.readline()):
            assert line
            assert wanted in line
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

        assert process.returncode == 130, said
        assert "Stopping after this batch ..." in said
        assert re.search(r"Stopped after \d+ of 400 memories", said)
        (resume,) = [line for line in said.splitlines() if line.startswith("Resume with: ")]
        assert resume.startswith("Resume with: memory migrate sqlite --source ")
        typed = shlex.split(resume.removeprefix("Resume with: "))
        assert Checkpoint.load(tmp_path / "c.json").migrated_count < 400
        command = [sys.executable, str(ROOT / SCRIPT), *typed[3:-3], "--resume"]

    done = run(*command, "--batch-size", "100")
    assert done.returncode == 0, done.stderr
    assert "Validation: 400 memories verified, 0 errors" in done.stdout


def test_two_runs_never_share_a_checkpoint(run: Run, database: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.json"
    lock = FileLock(checkpoint.with_name(".checkpoint.json.lock"))
    assert lock.try_acquire()
    lock.describe(Holder(4711, "migration", "memory migrate sqlite", "2026-01-01T00:00:00+00:00"))
    command = memory("migrate", "sqlite", "--source", str(database), "--checkpoint", str(checkpoint))

    refused = run(*command)
    lock.release()
    done = run(*command)

    assert refused.returncode == 2
    assert f"checkpoint {checkpoint} runs already: process 4711 (memory migrate sqlite)" in refused.stderr
    assert "never awaited" not in refused.stderr
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_works_from_a_clone_without_activating_anything(run: Run, database: Path) -> None:
    """Any Python starts it; that of .venv takes over."""
    plain = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if plain is None or not (ROOT / ".venv").exists():
        pytest.skip("needs a python3 besides the one of .venv: install Debian's python3, and run `make setup`")

    done = run(plain, str(ROOT / SCRIPT), "--dry-run", "--source", str(database))

    assert (done.returncode, done.stderr) == (0, "")
    assert "Found 400 memories in SQLite" in done.stdout


def test_a_running_owner_makes_room_and_serves_what_came(run: Run, database: Path, tmp_path: Path) -> None:
    stored = run(*memory("store", "Stored before the migration"))
    assert stored.returncode == 0, stored.stderr

    refused = run(*memory("migrate", "sqlite"))
    assert refused.returncode == 2
    assert "holds 1 memories already" in refused.stderr
    merged = run(*memory("migrate", "sqlite", "--merge"))

    assert merged.returncode == 0, merged.stderr
    assert "Already in the target" not in merged.stdout
    found = run(*memory("search", "before the migration", "--limit", "1"))
    assert "Stored before the migration" in found.stdout
    found = run(*memory("search", "Who must be called back?", "--limit", "1"))
    assert "Call Anna back" in found.stdout


def test_a_live_original_is_read_with_its_log_and_reembedding_works_on_the_way(
    run: Run, database: Path, tmp_path: Path
) -> None:
    with open_original(database) as connection:
        insert(connection, Generation.V10_59, [OriginalRow("Not embedded yet, in the log", None)])
        done = run(
            *memory(
                "migrate", "sqlite", "--source", str(database), "--target", str(tmp_path / "q"), "--batch-size", "500"
            )
        )

    assert done.returncode == 0, done.stderr
    assert "Migration complete! 401/401 (100%)" in done.stdout
    assert "Embedded on the way: 1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "nowhere.db"], "There is nothing at nowhere.db"),
        (["--source", "data"], "name the file"),
        (["--target", "data"], "same place, or one lies in the other"),
        (["--resume", "--checkpoint", "none.json"], "There is no checkpoint at"),
        (["--no-validate", "--validate-sample", "5"], "exclude each other"),
        (["--batch-size", "0"], "greater than or equal to 1"),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    run: Run, database: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    before = sorted(tmp_path.rglob("*"))

    done = run(*memory("migrate", "sqlite", *arguments))

    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path for path in tmp_path.rglob("*") if "qdrant" not in path.parts) == before


def test_a_folder_of_something_else_is_refused_as_target_and_left_as_it_is(
    run: Run, database: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").touch()

    done = run(*memory("migrate", "sqlite", "--target", str(folder)))

    assert done.returncode == 78
    assert "aren't a memory store" in done.stderr
    assert [entry.name for entry in folder.iterdir()] == ["cat.jpg"]

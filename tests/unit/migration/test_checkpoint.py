"""A checkpoint is whole after any crash, has the guide's fields, and is taken for nothing but its own migration."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_memory.migration.checkpoint import Checkpoint, ModelChangeMark, Phase, SourceMark, TargetMark
from mcp_memory.migration.copied import Copied, write_copied
from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.migration.sources.base import Fingerprint

SOURCE = SourceMark("/data/sqlite_vec.db", "sqlite", Fingerprint(10, 20, "ab"))
TARGET = TargetMark("/data/qdrant", "all-MiniLM-L6-v2", "ff", 384)


def some(**fields: object) -> Checkpoint:
    return replace(Checkpoint.begin(SOURCE, TARGET, 10_000, reembed=False, merge=False), **fields)  # type: ignore[arg-type]


def test_the_file_has_the_guides_fields_and_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "checkpoint.json"
    checkpoint = some(
        migrated_count=5_000, failed_hashes=["abc123", "def456"], last_successful_hash="xyz789", cursor=5_004
    )
    checkpoint.count_notes(["tags normalised"] * 3)
    checkpoint.count_notes(["hash missing", "tags normalised"])

    checkpoint.save(path)

    document = json.loads(path.read_text(encoding="utf-8"))
    assert list(document)[:6] == [
        "total_memories",
        "migrated_count",
        "failed_hashes",
        "last_successful_hash",
        "started_at",
        "last_updated_at",
    ]
    assert document["failed_hashes"] == ["abc123", "def456"]
    assert document["notes"] == {"tags normalised": 4, "hash missing": 1}
    assert document["started_at"].endswith("Z")
    assert len(document["started_at"]) == len("2025-01-16T10:00:00Z")
    assert Checkpoint.load(path) == checkpoint
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.json"]


@pytest.mark.parametrize(("reembed", "merge"), [(True, False), (False, True)])
def test_a_beginning_knows_what_it_was_asked_for_and_has_done_nothing(reembed: bool, merge: bool) -> None:
    checkpoint = Checkpoint.begin(SOURCE, TARGET, 7, reembed=reembed, merge=merge)
    assert (checkpoint.source, checkpoint.target, checkpoint.total_memories) == (SOURCE, TARGET, 7)
    assert (checkpoint.reembed, checkpoint.merge, checkpoint.done) == (reembed, merge, 0)
    assert checkpoint.started_at == checkpoint.last_updated_at != ""


def test_what_a_cut_off_model_change_must_know_comes_back(tmp_path: Path) -> None:
    change = ModelChangeMark(
        "old", "ff", "memories_new_ab", "memories_ab", "memories_backup_old_20260101T000000Z", Phase.TAKING_OVER
    )
    live = SourceMark("http://qdrant:6333#memories", "storage", None)
    checkpoint = some(source=live, model_change=change, source_revision=3)
    checkpoint.save(tmp_path / "checkpoint.json")

    found = Checkpoint.load(tmp_path / "checkpoint.json")

    assert found == checkpoint
    assert found.model_change is not None
    assert found.model_change.phase is Phase.TAKING_OVER


def test_a_storage_that_may_be_written_to_is_known_by_its_address_alone() -> None:
    live = SourceMark("http://qdrant:6333#memories", "storage", None)
    checkpoint, path = some(source=live), Path("checkpoint.json")

    checkpoint.check(path, live, TARGET)
    with pytest.raises(MigrationRefusedError, match="another source, http://qdrant:6333#memories"):
        checkpoint.check(path, replace(live, path="http://qdrant:6333#others"), TARGET)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't be read"),
        ('{"total_memories": 1, "migr', "can't be read"),
        ("[]", "lacks what a safe resume needs"),
        ('{"total_memories": 10, "migrated_count": 5, "failed_hashes": []}', "lacks what a safe resume needs"),
        ('{"version": 2}', "newer version"),
    ],
)
def test_what_is_no_usable_checkpoint_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(MigrationRefusedError, match=message):
        Checkpoint.load(path)


def test_a_missing_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefusedError, match=r"no checkpoint at .*nowhere\.json"):
        Checkpoint.load(tmp_path / "nowhere.json")


def test_another_source_a_changed_source_and_another_target_are_refused() -> None:
    checkpoint, path = some(), Path("checkpoint.json")
    moved = replace(SOURCE, path="/elsewhere/sqlite_vec.db")

    checkpoint.check(path, SOURCE, TARGET)
    checkpoint.check(path, moved, TARGET)  # the same file under another name
    with pytest.raises(MigrationRefusedError, match=r"another source, /data/sqlite_vec\.db"):
        checkpoint.check(path, replace(moved, fingerprint=Fingerprint(10, 20, "cd")), TARGET)
    with pytest.raises(MigrationRefusedError, match="changed; the service that writes to it must be stopped"):
        checkpoint.check(path, replace(SOURCE, fingerprint=Fingerprint(11, 20, "ab")), TARGET)
    with pytest.raises(MigrationRefusedError, match="another target: /data/qdrant, not http://qdrant:6333"):
        checkpoint.check(path, SOURCE, replace(TARGET, address="http://qdrant:6333"))
    with pytest.raises(MigrationRefusedError, match="another target: the model all-MiniLM-L6-v2, not the model e5"):
        checkpoint.check(path, SOURCE, replace(TARGET, model="e5", model_fingerprint="ee"))


WRITER = textwrap.dedent(
    """
    import sys
    from dataclasses import replace
    from pathlib import Path
    from test_checkpoint import some
    number = 0
    while True:
        number += 1
        some(cursor=number, failed_hashes=["x" * 64] * (number % 500)).save(Path(sys.argv[1]))
        print(number, flush=True)
    """
)


def test_kill_9_while_writing_leaves_a_whole_checkpoint_no_older_than_the_last_one_written(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    for run in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert writer.stdout is not None
        last = [int(writer.stdout.readline()) for _ in range(5 + 9 * run)][-1]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()

        assert Checkpoint.load(path).cursor >= last


@pytest.mark.parametrize(
    "changed",
    [
        {"new_collection": "../memories_new_ab"},
        {"new_collection": "/etc"},
        {"new_place": "../x"},
        {"new_place": "/etc"},
        {"new_place": ".."},
        {"new_place": "a/b"},
        {"backup": "../../x"},
        {"backup": "memories"},
        {"phase": "deleting"},
        {"new_place": 7},
    ],
)
def test_a_checkpoint_that_names_places_elsewhere_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / "checkpoint.json"
    checkpoint = Checkpoint.begin(SOURCE, TARGET, 3, reembed=False, merge=False)
    checkpoint.model_change = ModelChangeMark(
        "a", "aa", "memories_new_ab", "memories_new_ab", "memories_backup_a_20260101T000000Z", Phase.TAKING_OVER
    )
    checkpoint.save(path)
    assert Checkpoint.load(path).model_change == checkpoint.model_change
    fields = json.loads(path.read_text())
    fields["model_change"] |= changed
    path.write_text(json.dumps(fields))
    with pytest.raises(MigrationRefusedError, match="lacks what a safe resume needs"):
        Checkpoint.load(path)


@pytest.mark.parametrize(
    "changed",
    [{"migrated_count": "1"}, {"failed_hashes": "abc"}, {"cursor": {"x": 1}}, {"notes": [1]}, {"started_at": None}],
)
def test_a_checkpoint_with_values_of_other_types_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / "checkpoint.json"
    Checkpoint.begin(SOURCE, TARGET, 3, reembed=False, merge=False).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(MigrationRefusedError, match="lacks what a safe resume needs"):
        Checkpoint.load(path)


def test_a_checkpoint_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    Checkpoint.begin(SOURCE, TARGET, 3, reembed=False, merge=False).save(tmp_path / "elsewhere.json")
    (tmp_path / "checkpoint.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(MigrationRefusedError, match="can't be read"):
        Checkpoint.load(tmp_path / "checkpoint.json")


RECORD = struct.Struct(">16sQ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (RECORD.pack(b"a" * 16, 1)[:-1], "ends within a record"),
        (RECORD.pack(b"b" * 16, 1) + RECORD.pack(b"a" * 16, 1), "aren't in order"),
        (RECORD.pack(b"a" * 16, 1) * 2, "aren't in order"),
    ],
)
def test_a_list_of_what_was_copied_that_is_not_whole_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "c.copied").write_bytes(content)
    with pytest.raises(MigrationRefusedError, match=why):
        Copied(tmp_path / "c.copied")


def test_a_list_of_what_was_copied_is_neither_read_nor_written_through_a_link(tmp_path: Path) -> None:
    from reference_storage import ReferenceStorage  # noqa: PLC0415 - a child process imports this file without tests/

    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "c.copied").symlink_to(tmp_path / "precious")
    with pytest.raises(MigrationRefusedError, match="can't be read"):
        Copied(tmp_path / "c.copied")
    with pytest.raises(OSError, match="symbolic"):
        asyncio.run(write_copied(tmp_path / "c.copied", ReferenceStorage()))
    assert (tmp_path / "precious").read_bytes() == b"precious"

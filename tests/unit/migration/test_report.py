"""What a migration says at its end, to people and in its file, is all of what it counted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_memory.migration.report import MAX_FAILURES, MigrationReport
from mcp_memory.migration.sources.base import Fingerprint, SourceKind, SourceReport
from mcp_memory.migration.validation import Failure

SOURCE = SourceReport(
    kind=SourceKind.SQLITE,
    path=Path("/data/sqlite_vec.db"),
    schema="17 columns",
    columns=("id", "content"),
    dimensions=384,
    distance="cosine",
    model=None,
    total=13,
    live=10,
    tombstones=2,
    superseded=1,
    without_embedding=4,
    stores={"default": 10},
    fingerprint=Fingerprint(1, 2, "ab"),
    left_behind={"rows of trust_scores": 7},
)
FAILURE = Failure("a" * 64, "validate", "tags", "['a']", "['b']")


def report() -> MigrationReport:
    return MigrationReport(
        SOURCE,
        "/data/qdrant",
        "all-MiniLM-L6-v2",
        10,
        migrated=8,
        existed=3,
        reembedded=4,
        verified=7,
        validation_errors=1,
        failures=[FAILURE],
        unreadable={"b" * 64: "its content is empty"},
        unreadable_count=5,
        failed_count=6,
        caught_up=9,
        notes=Counter({"hash missing, computed": 1, "tags normalised": 2}),
        seconds=2.00049,
        this_run=8,
        completed=True,
    )


def test_the_file_holds_everything(tmp_path: Path) -> None:
    report().write(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document.pop("source") == {
        "kind": "sqlite",
        "path": "/data/sqlite_vec.db",
        "schema": "17 columns",
        "columns": ["id", "content"],
        "dimensions": 384,
        "distance": "cosine",
        "model": None,
        "total": 13,
        "live": 10,
        "tombstones": 2,
        "superseded": 1,
        "without_embedding": 4,
        "stores": {"default": 10},
        "fingerprint": {"size": 1, "mtime_ns": 2, "sha256": "ab"},
        "left_behind": {"rows of trust_scores": 7},
        "private_copy": False,
        "any_vectors": False,
    }
    assert document == {
        "target": "/data/qdrant",
        "model": "all-MiniLM-L6-v2",
        "completed": True,
        "total": 10,
        "migrated": 8,
        "already_there": 3,
        "embedded_on_the_way": 4,
        "verified": 7,
        "validation_errors": 1,
        "caught_up": 9,
        "failed": 6,
        "failures": [
            {"content_hash": "a" * 64, "stage": "validate", "field": "tags", "expected": "['a']", "found": "['b']"}
        ],
        "left_in_source": {"deleted": 2, "superseded": 1, "without a text": 5, "rows of trust_scores": 7},
        "unreadable": {"b" * 64: "its content is empty"},
        "notes": {"tags normalised": 2, "hash missing, computed": 1},
        "seconds": 2.0,
        "memories_per_second": 4.0,
    }


def test_of_very_many_failures_the_first_are_named_and_all_counted(tmp_path: Path) -> None:
    many = report()
    many.failures, many.failed_count, many.seconds = [FAILURE] * (MAX_FAILURES + 1), MAX_FAILURES + 1, 0.0
    many.write(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (len(document["failures"]), document["failed"]) == (MAX_FAILURES, MAX_FAILURES + 1)
    assert document["memories_per_second"] is None


def test_people_are_told_what_the_guide_s_lines_do_not_say() -> None:
    assert report().lines() == [
        "Already in the target: 3",
        "Embedded on the way: 4",
        "Written meanwhile and brought over: 9",
        "Failed: 6 (run again with --resume to retry them)",
        "Left in the source: 2 deleted, 1 superseded, 5 without a text, 7 rows of trust_scores",
        "2 memories: tags normalised",
        "1 memories: hash missing, computed",
    ]
    whole = replace(SOURCE, tombstones=0, superseded=0, left_behind={})
    assert MigrationReport(whole, "/data/qdrant", "m", 10, migrated=10, completed=True).lines() == []


@pytest.mark.parametrize(
    ("completed", "failed", "errors", "unreadable", "succeeded"),
    [
        (True, 0, 0, 0, True),
        (False, 0, 0, 0, False),
        (True, 1, 0, 0, False),
        (True, 0, 1, 0, False),
        (True, 0, 0, 1, False),
    ],
)
def test_it_succeeded_where_it_came_to_its_end_without_a_failure(
    completed: bool, failed: int, errors: int, unreadable: int, succeeded: bool
) -> None:
    found = MigrationReport(
        SOURCE,
        "t",
        "m",
        10,
        completed=completed,
        failed_count=failed,
        validation_errors=errors,
        unreadable_count=unreadable,
    )
    assert found.succeeded is succeeded
    assert (found.shortfall is None) is succeeded

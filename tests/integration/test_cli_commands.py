"""The `memory` command line over a running service: what it does, prints, and ends with."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_memory.cli.app import run as run_typer
from mcp_memory.cli.exits import ending_in_words
from mcp_memory.domain.memory import content_hash

OWNER = Path(__file__).with_name("reference_owner.py")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Memory = Callable[..., Done]


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A served store, shared by this file: each test takes a store name, or words, of its own."""
    with tempfile.TemporaryDirectory(prefix="cli-") as folder:
        environment = os.environ | {"MCP_MEMORY_BASE_DIR": folder}
        with subprocess.Popen([sys.executable, str(OWNER)], stdout=subprocess.PIPE, env=environment) as owner:
            assert owner.stdout is not None
            assert json.loads(owner.stdout.readline())["ready"]
            yield Path(folder)
            owner.terminate()


@pytest.fixture
def memory(base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Memory:
    monkeypatch.setenv("MCP_MEMORY_BASE_DIR", str(base))

    def call(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["memory", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape"))))
        capfd.readouterr()
        code = 0
        try:
            ending_in_words(run_typer)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capfd.readouterr()
        return Done(code, captured.out, captured.err)

    return call


def test_what_is_stored_is_found_with_its_tags_type_and_hash(memory: Memory) -> None:
    text = "Deployments happen on Tuesdays"
    stored = memory("store", text, "--tag", "Deploy,ops", "--type", "decision", "--metadata", '{"source": "wiki"}')
    assert stored == Done(0, f"Stored  {content_hash(text)}\n", "")
    found = memory("search", "when", "do", "deployments", "happen")
    assert found.code == 0
    for part in (text, "#deploy #ops", "decision", content_hash(text), "0."):
        assert part in found.out
    hit = memory("search", "--json", "--tag", "ops", "deployments").json["results"][0]["memory"]
    assert hit["metadata"] == {"source": "wiki"}


def test_storing_a_text_again_says_so_and_is_no_failure(memory: Memory) -> None:
    memory("store", "said once")
    again = memory("store", "SAID ONCE")
    assert again.code == 0
    assert content_hash("said once") in again.out
    assert memory("store", "--json", "said once").json["success"] is False


def test_a_text_comes_from_stdin(memory: Memory) -> None:
    assert memory("store", stdin="from a pipe\nin two lines\n").code == 0
    assert "in two lines" in memory("search", "--mode", "exact", "from a pipe").out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("store", "   "), "empty"),
        (("store", "x", "--metadata", "[1]"), "--metadata is a JSON object"),
        (("store", "x", "--metadata", "{"), "--metadata is not JSON"),
        (("search", "x", "--mode", "telepathy"), "telepathy"),
        (("search", "x", "--when", "the day the music died"), "the day the music died"),
        (("search", "x", "-n", "0"), "greater than or equal to 1"),
        (("delete",), "Say what to delete"),
        (("delete", "abc"), "64 hexadecimal digits"),
        (("delete", "0" * 64, "--tag", "a"), "not both"),
        (("move", "abc", "--to", "work"), "64 hexadecimal digits"),
        (("move", "0" * 64), "--to"),
        (("import", "/does/not/exist"), "There is no file"),
        (("export", "-", "--json"), "need a file"),
        (("nonsense",), "nonsense"),
    ],
)
def test_a_mistake_in_the_arguments_ends_with_2_and_a_reason(
    memory: Memory, arguments: tuple[str, ...], reason: str
) -> None:
    done = memory(*arguments)
    assert done.code == 2, done
    assert reason in done.err
    assert "Traceback" not in done.err


def test_an_error_is_also_there_for_programs(memory: Memory) -> None:
    done = memory("store", "--json", " ")
    assert done.code == 2
    assert done.json["error"]["code"] == "invalid_input"


def test_a_listing_goes_page_by_page(memory: Memory) -> None:
    for number in range(5):
        memory("store", f"page {number}", "--store", "pages")
    first = memory("list", "--store", "pages", "-n", "3", "--json").json
    assert [m["content"] for m in first["memories"]] == ["page 4", "page 3", "page 2"]
    rest = memory("list", "--store", "pages", "-n", "3", "--cursor", first["next_cursor"], "--json").json
    assert [m["content"] for m in rest["memories"]] == ["page 1", "page 0"]
    shown = memory("list", "--store", "pages", "-n", "3")
    assert "3 of 5 memories" in shown.err
    assert "page 4" in shown.out


def test_deleting_by_hash_needs_no_question_and_an_unknown_hash_ends_with_3(memory: Memory) -> None:
    memory("store", "to be deleted")
    hash_ = content_hash("to be deleted")
    assert memory("delete", hash_).out == "Deleted 1 memory.\n"
    gone = memory("delete", hash_)
    assert gone.code == 3
    assert hash_ in gone.err


def test_memories_move_to_another_store_and_back_and_an_unknown_hash_ends_with_3(memory: Memory) -> None:
    hashes = [content_hash(text) for text in ("a desk that moves", "a chair that moves")]
    memory("store", "a desk that moves", "--tag", "moving")
    memory("store", "a chair that moves", "--tag", "moving", "--store", "old-office")
    assert memory("move", hashes[0][:12], hashes[1], "--to", "new-office").out == "Moved 2 memories to new-office.\n"
    there = memory("list", "--store", "new-office", "--json").json["memories"]
    assert {(one["content_hash"], *one["tags"]) for one in there} == {(hash_, "moving") for hash_ in hashes}
    some = memory("move", hashes[0], "0" * 64, "--to", "default", "--json")
    assert (some.code, some.json["hashes"], some.json["missing"]) == (3, [hashes[0]], ["0" * 64])
    assert "0" * 64 in some.err
    assert memory("list", "--tag", "moving", "--json").json["total"] == 1
    gone = memory("move", "0" * 64, "--to", "new-office")
    assert (gone.code, gone.out) == (3, "")
    everywhere = memory("move", hashes[1], "--to", "all")
    assert everywhere.code != 0
    assert "all" in everywhere.err
    assert memory("list", "--store", "new-office", "--json").json["total"] == 1


def test_deleting_by_tag_is_counted_and_wants_a_yes(memory: Memory) -> None:
    for number in range(3):
        memory("store", f"old thing {number}", "--tag", "old")
    planned = memory("delete", "--tag", "old", "--dry-run")
    assert "Would delete 3 memories." in planned.out
    assert content_hash("old thing 1") in planned.out
    unasked = memory("delete", "--tag", "old")
    assert unasked.code == 2
    assert "--yes" in unasked.err
    assert memory("delete", "--tag", "old", "--yes").out == "Deleted 3 memories.\n"
    assert memory("delete", "--tag", "old", "--yes").out == "Deleted 0 memories.\n"


def test_tags_are_counted(memory: Memory) -> None:
    memory("store", "tagged once", "--tag", "rare,common", "--store", "tagged")
    memory("store", "tagged twice", "--tag", "common", "--store", "tagged")
    assert memory("tags", "--store", "tagged").out == "2  common\n1  rare\n"


def test_statistics_name_the_model_and_the_process(memory: Memory) -> None:
    memory("store", "at least one")
    shown = memory("stats")
    assert "hash-projection, 384 dimensions" in shown.out
    assert "(background)" in shown.out
    assert memory("stats", "--json").json["storage"]["vectors_count"] >= 1


def test_a_stored_text_can_not_drive_the_terminal(memory: Memory) -> None:
    memory("store", "evil \x1b]0;title\x07 \x1b[2J text [bold]markup[/bold]")
    out = memory("search", "--mode", "exact", "evil").out
    assert "\x1b" not in out
    assert "\\x1b" in out
    assert "[bold]markup[/bold]" in out


def test_export_and_import_carry_everything_over(memory: Memory, tmp_path: Path) -> None:
    for number in range(7):
        memory("store", f"carried {number} 日本語 🐘", "--tag", f"t{number}", "--store", "carried")
    file = tmp_path / "memories.jsonl"
    assert memory("export", str(file), "--store", "carried").out == f"Exported 7 memories to {file}.\n"
    assert not file.with_name("memories.jsonl.partial").exists()
    assert file.stat().st_mode & 0o777 == 0o600
    before = sorted(file.read_text().splitlines())
    assert len(before) == 7
    memory("delete", "--when", "today", "--store", "carried", "--yes")
    done = memory("import", str(file))
    assert done.out == "Imported 7 memories; 0 were there.\n"
    again = memory("import", "-", "--json", stdin=file.read_text())
    assert again.json == {"imported": 0, "existed": 7, "overwritten": 0, "rejected": 0}
    assert sorted(memory("export", "-", "--store", "carried").out.splitlines()) == before


def test_an_export_that_was_cut_off_goes_on_where_it_stopped(memory: Memory, tmp_path: Path) -> None:
    for number in range(6):
        memory("store", f"resumed {number}", "--store", "resumed")
    whole = tmp_path / "whole.jsonl"
    memory("export", str(whole), "--store", "resumed")
    lines = whole.read_bytes().splitlines(keepends=True)
    file = tmp_path / "m.jsonl"
    partial = tmp_path / "m.jsonl.partial"
    partial.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    refused = memory("export", str(file), "--store", "resumed")
    assert refused.code == 2
    assert "--resume" in refused.err
    assert memory("export", str(file), "--store", "resumed", "--resume", "--json").json["exported"] == 6
    assert file.read_bytes() == whole.read_bytes()
    assert not partial.exists()
    assert memory("export", str(file), "--store", "resumed", "--resume").code == 2


def test_lines_that_are_no_memories_are_named_and_the_others_go_in(memory: Memory) -> None:
    lines = '{"content": "good one", "store": "mixed"}\nnonsense\n\n{"x": 1}\n'
    lines += '{"content": "bad tag", "tags": ["a,b"], "store": "mixed"}\n'
    done = memory("import", "-", stdin=lines)
    assert done.code == 1
    assert "line 2: not JSON" in done.err
    assert "line 4: not a memory" in done.err
    assert "line 5: " in done.err
    assert [m["content"] for m in memory("list", "--store", "mixed", "--json").json["memories"]] == ["good one"]


BAD_LINES = [
    ('{"content": "t", "tags": ["a", 7]}', "tags"),
    ('{"content": "s", "store": null}', "store"),
    ('{"content": "i", "created_at": "2026-01-01T00:00:00Z"}', "created_at"),
    ('{"content": "m", "metadata": [1]}', "metadata"),
    ('{"content": "n", "metadata": {"n": NaN}}', "metadata.n"),
    ('{"content": "big", "metadata": {"n": 1e400}}', "metadata.n"),
    ('{"content": "h", "content_hash": 7}', "content_hash"),
    ('{"content": "lone \\ud800"}', "content"),
    ('{"content": 5}', "content"),
    ('{"content": "y", "memory_type": {}}', "memory_type"),
    ('{"content": "iso", "updated_at_iso": "soon"}', "updated_at_iso"),
    ('{"content": ' + "[" * 100_000, "not JSON"),
    ('{"content": "cut o', "not JSON"),
    ('{"content": "raw \0 byte"}', "not JSON"),
    ('{"content": "\udcff"}', "not UTF-8"),
    ('{"content": "' + "x" * 4_200_000 + '"}', "longer than"),
]


def test_every_good_line_gets_in_and_every_bad_one_is_named_and_counted(memory: Memory) -> None:
    good = [json.dumps({"content": f"line by line {number}", "store": "lines"}) for number in range(120)]
    lines = good[:60] + [line for line, _ in BAD_LINES] + good[60:]
    done = memory("import", "-", "--json", stdin="\ufeff" + "\n".join(lines))
    assert done.code == 1
    assert done.json == {"imported": 120, "existed": 0, "overwritten": 0, "rejected": len(BAD_LINES)}
    told = dict(line.split(": ", 1) for line in done.err.splitlines() if line.startswith("line "))
    assert len(told) == len(BAD_LINES)
    for number, (_, reason) in enumerate(BAD_LINES, start=61):
        assert reason in told[f"line {number}"], told[f"line {number}"]


def test_an_import_reads_arrays_gzip_utf16_and_pipes(memory: Memory, tmp_path: Path) -> None:
    def texts(form: str) -> list[str]:
        return [json.dumps({"content": f"{form} {number} ü", "store": form}, ensure_ascii=False) for number in range(3)]

    lines = "\n".join
    forms = {
        "array": ("[\n" + ",\n".join(texts("array")) + "]\n").encode(),
        "gzip": gzip.compress(lines(texts("gzip")).encode()),
        "zipped array": gzip.compress(("[" + ",".join(texts("zipped array")) + "]").encode()),
        "utf16": lines(texts("utf16")).encode("utf-16"),
        "utf16 without a mark": lines(texts("utf16 without a mark")).encode("utf-16-be"),
        "utf32": lines(texts("utf32")).encode("utf-32"),
        "crlf": "\r\n".join(texts("crlf")).encode(),
    }
    for form, content in forms.items():
        (tmp_path / form).write_bytes(content)
        done = memory("import", str(tmp_path / form))
        assert done == Done(0, "Imported 3 memories; 0 were there.\n", ""), form
        listed = memory("list", "--store", form, "--json").json["memories"]
        assert sorted(one["content"] for one in listed) == [f"{form} {number} ü" for number in range(3)]


@pytest.mark.parametrize(
    ("content", "unit"),
    [
        (gzip.compress(bytes(range(9)) + b"x" * 70_000, mtime=0)[:60], None),
        (b'[{"content": "before the cut 1", "store": "cut"}, {"content": "be', "item 2"),
        (b'{"content": "before the cut 2", "store": "cut"}\n{"content": "be', "line 2"),
        (gzip.compress(b'{"content": "before the cut 3", "store": "cut"}\n' * 2, mtime=0)[:-9], "line"),
    ],
)
def test_what_stands_before_a_cut_gets_in_and_the_cut_is_told(
    memory: Memory, tmp_path: Path, content: bytes, unit: str | None
) -> None:
    (tmp_path / "cut").write_bytes(content)
    done = memory("import", str(tmp_path / "cut"))
    assert done.code == (2 if unit is None else 1), done
    assert "Traceback" not in done.err
    if unit:
        assert f"{unit}" in done.err
        assert "Imported 1 memory" in done.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"content,tags\nfirst,a\n", "neither JSON lines nor a JSON array"),
        (b"SQLite format 3\0" + bytes(80), "memory migrate sqlite --source"),
        (b'{\n  "export_metadata": {},\n  "memories": []\n}', "memory migrate sqlite --source"),
        (b'{"memories": [{"content": "x"}]}', "memory migrate sqlite --source"),
        (b'{\n  "content": "x"\n}', "several lines"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x7fELF" + bytes(100), "neither JSON lines"),
    ],
)
def test_what_is_no_import_file_is_refused_in_words(memory: Memory, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(content)
    done = memory("import", str(tmp_path / "file"))
    assert done.code == 2, done
    assert words in done.err
    assert memory("import", str(tmp_path)).err.endswith("is a folder: name the file in it.\n")


def test_a_field_that_no_memory_has_is_kept_and_an_iso_time_read(memory: Memory) -> None:
    line = '{"content": "with more", "id": 7, "created_at_iso": "2020-01-02T03:04:05Z", "store": "more"}'
    assert memory("import", "-", stdin=line).code == 0
    (kept,) = memory("list", "--store", "more", "--json").json["memories"]
    assert kept["metadata"] == {"_imported": {"id": 7}}
    assert kept["created_at_iso"] == "2020-01-02T03:04:05.000000Z"


def test_names_of_other_stores_are_exported_deleted_and_imported_again(memory: Memory, tmp_path: Path) -> None:
    ids = ["assoc_1", "insight_2", "AB" * 32, "3f2b8c1e-9a44-4f6e-8d2b-1c5e7a9b0d13", "id with ключ 1"]
    lines = [json.dumps({"content": f"named {id_}", "content_hash": id_, "store": "named"}) for id_ in ids]
    assert memory("import", "-", stdin="\n".join(lines)).code == 0
    whole = memory("export", "-", "--store", "named").out
    (tmp_path / "cut.jsonl.partial").write_text(whole.splitlines(keepends=True)[0])
    memory("export", str(tmp_path / "cut.jsonl"), "--store", "named", "--resume")
    assert (tmp_path / "cut.jsonl").read_text() == whole
    done = memory("delete", *ids)
    assert done == Done(0, "Deleted 5 memories.\n", "")
    assert memory("delete", ids[0]).code == 3
    assert memory("import", "-", stdin=whole).out == "Imported 5 memories; 0 were there.\n"
    assert memory("export", "-", "--store", "named").out == whole


def test_a_long_foreign_text_is_carried_verbatim(memory: Memory) -> None:
    line = json.dumps({"content": "x" * 2_000_000, "content_hash": "ab" * 32, "created_at": 5.5, "store": "foreign"})
    assert memory("import", "-", stdin=line).out == "Imported 1 memory; 0 were there.\n"
    exported = json.loads(memory("export", "-", "--store", "foreign").out)
    assert len(exported["content"]) == 2_000_000
    assert exported["content_hash"] == "ab" * 32
    assert exported["created_at"] == 5.5


def test_optimize_and_doctor_report(memory: Memory) -> None:
    assert memory("optimize", "--json").json["changed"] is False
    memory("store", "something to measure recall with")
    report = memory("doctor", "--recall", "5", "--json")
    checks = {check["name"]: check for check in report.json["checks"]}
    assert report.json["recall"]["recall"] == 1.0
    assert report.code == 0, checks
    assert checks["Owner"]["detail"].startswith("process ")
    assert {"Machine", "Libraries", "Engine", "Settings", "Folder", "Model", "Storage"} <= set(checks)


def test_doctor_never_shows_a_secret(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_API_KEY", "very-secret-key")
    shown = memory("doctor", "--offline")
    assert "MCP_API_KEY=(set)" in shown.out
    assert "very-secret-key" not in shown.out + shown.err


def test_settings_that_can_not_work_end_with_78(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_HTTP_PORT", "none")
    for command in (("search", "x"), ("doctor", "--offline")):
        done = memory(*command)
        assert done.code == 78
        assert "MCP_HTTP_PORT" in done.out + done.err


def test_healthcheck_ends_with_69_where_no_server_listens(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_HTTP_PORT", "1")
    begin = time.monotonic()
    done = memory("healthcheck")
    assert done.code == 69
    assert "127.0.0.1:1" in done.out
    assert time.monotonic() - begin < 10

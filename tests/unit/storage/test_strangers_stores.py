"""A store that somebody else made: what its records name is checked before anything is moved, deleted, opened or connected to.

Nothing here is proved for real: the calls that delete, move, change a mode or connect are replaced, and what they would have been
given is asserted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcp_memory.domain.errors import StorageError, StorageFormatError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.storage.qdrant_embedded import backup, lock
from mcp_memory.storage.qdrant_embedded import manifest as manifests
from mcp_memory.storage.qdrant_embedded.address import read_address
from mcp_memory.storage.qdrant_embedded.copying import checksum_of
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.store import OpenStore
from mcp_memory.storage.qdrant_embedded.succession import EmbeddedSuccession
from mcp_memory.storage.succession import StoredCollection

MODEL = ModelIdentity("m", 4, "ab")
KEPT = {
    "generation": 2,
    "model": {"name": "m", "dimensions": 4, "fingerprint": "cd"},
    "quantization": {"kind": "turbo4", "oversampling": 2.0},
}


def manifest(**changed: Any) -> dict[str, Any]:
    return {
        "product": "mcp-memory",
        "format": 1,
        "collection": "memories",
        "model": {"name": "m", "dimensions": 4, "fingerprint": "ab"},
        "generation": 1,
        "quantization": {"kind": "turbo4", "oversampling": 2.0},
    } | changed


def store(path: Path, **changed: Any) -> StorageFolder:
    """A folder that looks like a store; no engine could open it."""
    folder = StorageFolder(path)
    shard = folder.generation(1)
    (shard / "segments").mkdir(parents=True)
    (shard / "edge_config.json").write_text("{}")
    (path / "manifest.json").write_text(json.dumps(manifest(**changed)))
    os.chmod(path, 0o700)  # noqa: PTH101 - Path.chmod is replaced in most of these tests
    return folder


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What would have been deleted, moved, or given another mode. Nothing is."""
    asked: list[Path] = []

    def note(path: Any, *_: object, **__: object) -> None:
        asked.append(Path(path))

    monkeypatch.setattr(shutil, "rmtree", note)
    for name in ("rename", "replace", "unlink", "chmod", "rmdir"):
        monkeypatch.setattr(Path, name, note)
    return asked


ESCAPES = [
    "../x",
    "../x/generations/1",
    "/etc",
    "/etc/generations/1",
    "..",
    ".",
    "",
    "generations/1",
    "memories_new_abcd1234",
    "memories_new_abcd1234/../../x",
    "memories_new_abcd1234/generations/../../../x",
    "memories_new_abcd1234/generations/1/..",
    "../memories_new_abcd1234/generations/1",
    "memories_new_abcd1234/generations/1\n",
    "memories_new_abcd1234\x00/generations/1",
    "memories_new_ABCD/generations/1",
    "me mories_new_abcd1234/generations/1",
]


@pytest.mark.parametrize("arriving", ESCAPES)
def test_a_manifest_that_names_a_folder_elsewhere_is_refused_before_anything_is_touched(
    tmp_path: Path, touched: list[Path], arriving: str
) -> None:
    (tmp_path / "x").mkdir()
    store(tmp_path / "store", arriving=arriving)
    with pytest.raises(StorageFormatError, match="'arriving' is"):
        OpenStore.open(EmbeddedOptions(tmp_path / "store", MODEL))
    assert touched == []


def test_what_a_model_change_left_is_moved_and_deleted_inside_the_folder_alone(
    tmp_path: Path, touched: list[Path]
) -> None:
    folder = store(tmp_path / "store", generation=5, arriving="memories_new_abcd1234/generations/1")
    built = folder.path / "memories_new_abcd1234" / "generations" / "1"
    (built / "segments").mkdir(parents=True)
    (built / "edge_config.json").touch()
    found = folder.look()
    assert found is not None
    folder.receive(found)
    assert touched == [built, folder.path / "memories_new_abcd1234"]


@pytest.mark.parametrize(
    "changed",
    [
        {"collection": "../memories"},
        {"collection": "a/b"},
        {"generation": -1},
        {"generation": 0},
        {"generation": 10**30},
        {"kept": {"../../x": KEPT}},
        {"kept": {"memories": KEPT}},
        {"kept": {"memories_backup_m_20260101T000000Z": KEPT | {"generation": -7}}},
        {"aliases": {"../x": "memories"}},
        {"aliases": {"other": "/etc"}},
        {"model": {"name": "m", "dimensions": 4, "fingerprint": "../../x"}},
        {"model": {"name": "m\x1b[2J", "dimensions": 4, "fingerprint": "ab"}},
        {"model": {"name": "m", "dimensions": 0, "fingerprint": "ab"}},
        {"quantization": {"kind": "turbo4", "oversampling": 1e12}},
        {"graph": {"m": 10**9, "ef_construct": 100, "vectors": 1}},
    ],
)
def test_a_manifest_with_what_we_never_write_is_refused(
    tmp_path: Path, touched: list[Path], changed: dict[str, Any]
) -> None:
    store(tmp_path / "store", **changed)
    with pytest.raises(StorageFormatError, match="is damaged"):
        OpenStore.open(EmbeddedOptions(tmp_path / "store", MODEL))
    assert touched == []


def link_generations(folder: StorageFolder, elsewhere: Path) -> None:
    folder.generations.rename(folder.path / "away")
    folder.generations.symlink_to(elsewhere)


def link_generation(folder: StorageFolder, elsewhere: Path) -> None:
    folder.generation(1).rename(folder.path / "away")
    folder.generation(1).symlink_to(elsewhere)


def link_segments(folder: StorageFolder, elsewhere: Path) -> None:
    (folder.generation(1) / "segments").rmdir()
    (folder.generation(1) / "segments").symlink_to(elsewhere)


def link_in_a_segment(folder: StorageFolder, elsewhere: Path) -> None:
    (folder.generation(1) / "segments" / "one").symlink_to(elsewhere)


def link_the_manifest(folder: StorageFolder, elsewhere: Path) -> None:
    (folder.path / "manifest.json").rename(elsewhere / "manifest.json")
    (folder.path / "manifest.json").symlink_to(elsewhere / "manifest.json")


@pytest.mark.parametrize(
    "link", [link_generations, link_generation, link_segments, link_in_a_segment, link_the_manifest]
)
def test_a_link_in_a_store_is_named_and_nothing_behind_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: Callable[[StorageFolder, Path], None]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "segments").mkdir(parents=True)
    (elsewhere / "edge_config.json").touch()
    (elsewhere / "7").mkdir()
    folder = store(tmp_path / "store")
    link(folder, elsewhere)
    asked: list[object] = []
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda path, **_: asked.append(path))
        patched.setattr(Path, "chmod", lambda path, _: asked.append(path))
        with pytest.raises(StorageFormatError, match=r"symbolic link|neither a file nor a folder|Can't read"):
            OpenStore.open(EmbeddedOptions(tmp_path / "store", MODEL))
    assert [path for path in asked if str(path).startswith(str(elsewhere))] == []


def test_a_store_that_was_never_finished_deletes_nothing_through_a_link(tmp_path: Path, touched: list[Path]) -> None:
    (tmp_path / "elsewhere" / "7").mkdir(parents=True)
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store" / "creating").touch()
    (tmp_path / "store" / "generations").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFormatError, match="symbolic link"):
        StorageFolder(tmp_path / "store").remove_leftovers(set())
    assert touched == []


def test_only_generations_count_as_leftovers(tmp_path: Path, touched: list[Path]) -> None:
    folder = store(tmp_path / "store")
    for name in ("2", "photos", "007", "٣", "-1"):
        (folder.generations / name).mkdir()
    (folder.generations / "3").symlink_to(tmp_path)
    folder.remove_leftovers({1})
    assert touched == [folder.generation(2)]


def test_a_file_with_another_name_elsewhere_keeps_its_mode(tmp_path: Path) -> None:
    folder = store(tmp_path / "store")
    (tmp_path / "passwd").write_text("root")
    (tmp_path / "passwd").chmod(0o644)
    os.link(tmp_path / "passwd", folder.generation(1) / "segments" / "data")
    with pytest.raises(StorageFormatError, match="hard link"):
        folder.tighten_files()
    assert (tmp_path / "passwd").stat().st_mode & 0o777 == 0o644


def test_a_link_where_a_new_manifest_is_written_is_not_followed(tmp_path: Path) -> None:
    folder = store(tmp_path / "store")
    (tmp_path / "precious").write_text("precious")
    (folder.path / "manifest.json.new").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic"):
        manifests.write(folder.path, manifests.read(folder.path))
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("place", ["../x", "/etc", "memories_new_../x", "generations", ".", ""])
@pytest.mark.anyio
async def test_a_place_from_a_checkpoint_is_neither_opened_moved_nor_deleted_elsewhere(
    tmp_path: Path, touched: list[Path], place: str
) -> None:
    (tmp_path / "x").mkdir()
    store(tmp_path / "store")
    succession = EmbeddedSuccession(EmbeddedOptions(tmp_path / "store", MODEL))
    named = StoredCollection(place, ModelIdentity("n", 4, "ee"), place)
    with pytest.raises(StorageError, match="is no collection of a model change"):
        await succession.delete(named)
    with pytest.raises(StorageError, match="is no collection of a model change"):
        succession.storage(named)
    with pytest.raises(StorageError, match="is no collection of a model change"):
        await succession.take_over(named, backup="memories_backup_m_20260101T000000Z")
    assert touched == []


@pytest.mark.anyio
async def test_links_that_look_like_a_model_change_are_not_listed(tmp_path: Path) -> None:
    folder = store(tmp_path / "store")
    store(tmp_path / "other")
    (folder.path / "memories_new_abcd1234").symlink_to(tmp_path / "other")
    assert await EmbeddedSuccession(EmbeddedOptions(folder.path, MODEL)).unfinished() == []


@pytest.mark.parametrize(
    "address",
    [
        {"socket": "/run/docker.sock"},
        {"socket": "../x.sock"},
        {"socket": "/tmp/mcp-memory-0/../../etc/passwd"},
        {"port": 0, "token": "t"},
        {"port": 80, "token": "has a blank"},
        {"socket": "engine.sock", "port": 80},
    ],
)
def test_an_engines_address_elsewhere_is_not_believed(tmp_path: Path, address: dict[str, object]) -> None:
    folder = store(tmp_path / "store")
    (folder.path / "engine.json").write_text(json.dumps(address))
    assert read_address(folder) is None


@pytest.mark.parametrize("written", ["-1", "0", "1; rm x", "٣", " ", "9" * 100])
def test_a_lock_names_a_process_or_nobody(tmp_path: Path, written: str) -> None:
    (tmp_path / "engine.lock").write_text(written)
    assert lock.holder(tmp_path / "engine.lock") is None


# Backups


def backed_up(path: Path, *, listed: dict[str, str] | None = None, **changed: Any) -> Path:
    """A folder that looks like a backup, with right checksums."""
    folder = store(path / "store", **changed)
    files = [folder.path / "manifest.json", folder.generation(1) / "edge_config.json"]
    sums = {file.relative_to(path).as_posix(): checksum_of(file) for file in files} | (listed or {})
    contents = {
        "model": {"name": "m", "dimensions": 4, "fingerprint": "ab"},
        "collection": "memories",
        "memories": 0,
        "created_at": "2026-01-01T00:00:00+00:00",
        "sha256": sums,
        "kind": "embedded",
        "product": "mcp-memory",
    }
    (path / "backup.json").write_text(json.dumps(contents))
    return path


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "store/../../secret", "store/generations/9/x", "store"])
def test_a_backup_that_lists_a_file_elsewhere_is_refused_before_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    made = backed_up(tmp_path / "backup", listed={name: "0" * 64})
    monkeypatch.setattr(backup, "checksum_of", lambda file: pytest.fail(f"read {file}"))
    with pytest.raises(StorageFormatError, match="isn't a file of its store"):
        backup.check(made, MODEL)


def test_a_file_that_a_backup_does_not_list_is_named(tmp_path: Path) -> None:
    made = backed_up(tmp_path / "backup")
    (made / "store" / "generations" / "1" / "segments" / "extra").touch()
    with pytest.raises(StorageFormatError, match=r"extra isn't in the list"):
        backup.check(made, MODEL)


@pytest.mark.parametrize("where", ["store/generations/1/segments/one", "store/maintenance.json"])
def test_a_link_in_a_backup_is_named(tmp_path: Path, where: str) -> None:
    made = backed_up(tmp_path / "backup")
    (made / where).symlink_to("/etc/hostname")
    with pytest.raises(StorageFormatError, match="neither a file nor a folder"):
        backup.check(made, MODEL)


def test_a_pipe_in_place_of_a_record_holds_nobody_up(tmp_path: Path) -> None:
    made = backed_up(tmp_path / "backup")
    (made / "backup.json").unlink()
    os.mkfifo(made / "backup.json")
    with pytest.raises(StorageFormatError, match="isn't a backup"):
        backup.check(made, MODEL)


def test_a_restore_clears_what_was_under_way_where_the_backup_came_from(tmp_path: Path) -> None:
    made = backed_up(
        tmp_path / "backup",
        arriving="memories_new_abcd1234/generations/1",
        kept={"memories_backup_m_20260101T000000Z": KEPT},
        aliases={"other": "memories"},
    )
    backup.restore(made, tmp_path / "target", backup.check(made, MODEL), collection="memories")
    restored = json.loads((tmp_path / "target" / "manifest.json").read_text())
    assert (restored["arriving"], restored["kept"], restored["aliases"]) == (None, {}, {})


def test_a_backup_whose_manifest_leads_elsewhere_is_refused(tmp_path: Path, touched: list[Path]) -> None:
    made = backed_up(tmp_path / "backup", arriving="../../x")
    with pytest.raises(StorageFormatError, match="'arriving' is"):
        backup.check(made, MODEL)
    assert touched == []


def test_nothing_is_restored_through_a_link(tmp_path: Path) -> None:
    made = backed_up(tmp_path / "backup")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "target" / "manifest.json").write_text(json.dumps(manifest()))
    (tmp_path / "target" / "generations").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFormatError, match="symbolic link"):
        backup.restore(made, tmp_path / "target", backup.check(made, MODEL), collection="memories")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_with_a_manifest_of_something_else_is_not_restored_into(tmp_path: Path) -> None:
    made = backed_up(tmp_path / "backup")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "manifest.json").write_text('{"name": "a web extension", "manifest_version": 3}')
    with pytest.raises(StorageFormatError, match="It was left as it is"):
        backup.restore(made, tmp_path / "web", backup.check(made, MODEL), collection="memories")
    assert [entry.name for entry in (tmp_path / "web").iterdir()] == ["manifest.json"]

"""A folder of another program or of another user is refused by name, whichever way in, and nothing is left in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from mcp_memory.config import load_settings
from mcp_memory.domain.errors import ConfigurationError, MemoryServiceError, StorageError, StorageFormatError
from mcp_memory.owner.client import OwnerClient
from mcp_memory.owner.exclusive import exclusive_use
from mcp_memory.owner.identity import StoreIdentity, identify
from mcp_memory.owner.ownership import Ownership
from mcp_memory.owner.record import OwnerKind
from mcp_memory.owner.starter import start_background_owner
from mcp_memory.preflight import check_folder
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.sqlite_vec.connection import connect
from mcp_memory.system import owners

pytestmark = pytest.mark.anyio

WayIn = Callable[[StoreIdentity], Awaitable[object]]


async def as_server(store: StoreIdentity) -> None:
    Ownership.acquire(store, OwnerKind.SERVER).release()


async def as_background_owner(store: StoreIdentity) -> None:
    Ownership.acquire(store, OwnerKind.BACKGROUND).release()


async def as_client(store: StoreIdentity) -> None:
    await OwnerClient(store).connect(deadline_seconds=5)


async def as_starter(store: StoreIdentity) -> None:
    await start_background_owner(store, deadline_seconds=5)


async def as_maintenance(store: StoreIdentity) -> None:
    async with exclusive_use(store, reason="a migration brings memories in"):
        pass


WAYS_IN: list[WayIn] = [as_server, as_background_owner, as_client, as_starter, as_maintenance]


def letters(path: Path) -> None:
    (path / "thesis.tex").write_text("precious")


def web_extension(path: Path) -> None:
    (path / "manifest.json").write_text('{"name": "a web extension", "manifest_version": 3}')


def generations_of_something(path: Path) -> None:
    (path / "generations").mkdir()
    (path / "generations" / "grandparents.txt").touch()


def names_like_ours(path: Path) -> None:
    (path / "engine.cpp").touch()
    (path / "owner.txt").touch()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreIdentity:
    (tmp_path / "folder").mkdir(mode=0o755)
    monkeypatch.setenv("MCP_MEMORY_BASE_DIR", str(tmp_path / "base"))
    monkeypatch.setenv("MCP_QDRANT_STORAGE_PATH", str(tmp_path / "folder"))
    return identify(load_settings())


@pytest.mark.parametrize("fill", [letters, web_extension, generations_of_something, names_like_ours])
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_a_folder_of_another_program_gets_nothing(
    store: StoreIdentity, fill: Callable[[Path], None], way_in: WayIn
) -> None:
    fill(store.folder)
    before = sorted(store.folder.rglob("*"))
    with pytest.raises(StorageFormatError, match="It was left as it is"):
        await way_in(store)
    assert sorted(store.folder.rglob("*")) == before
    assert store.folder.stat().st_mode & 0o777 == 0o755


@pytest.fixture
def foreign_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE moz_places (id)")
    path.chmod(0o644)
    monkeypatch.setenv("MCP_MEMORY_BASE_DIR", str(tmp_path / "base"))
    monkeypatch.setenv("MCP_MEMORY_STORAGE_BACKEND", "sqlite_vec")
    monkeypatch.setenv("MCP_MEMORY_SQLITE_PATH", str(path))
    return path


def state(database: Path) -> tuple[object, ...]:
    """The database, its mode, and what lies beside it."""
    return database.read_bytes(), database.stat().st_mode, list(database.parent.iterdir())


@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_a_database_of_another_program_gets_nothing_beside_it(foreign_database: Path, way_in: WayIn) -> None:
    before = state(foreign_database)
    with pytest.raises(StorageFormatError, match="is an SQLite database of something else"):
        await way_in(identify(load_settings()))
    with pytest.raises(StorageFormatError, match="is an SQLite database of something else"):
        connect(foreign_database, 1.0)
    assert state(foreign_database) == before


@pytest.fixture
def somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file that there is belongs to user 4242, whose name is svc."""
    monkeypatch.setattr(owners, "owner_of", lambda path: 4242 if path.exists() else None)
    monkeypatch.setattr(owners, "user_name", lambda uid: {4242: "svc", 0: "root"}.get(uid, str(uid)))
    monkeypatch.setattr("sys.argv", ["/usr/bin/memory", "store", "a 'text'"])


@pytest.mark.usefixtures("somebody_else")
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_a_folder_of_another_user_is_refused_with_the_command_to_type(
    store: StoreIdentity, way_in: WayIn
) -> None:
    with pytest.raises(ConfigurationError, match="belongs to user svc") as caught:
        await way_in(store)
    assert """sudo -u svc memory store 'a '"'"'text'"'"''""" in caught.value.message
    assert "--preserve-env=MCP_MEMORY_BASE_DIR,MCP_QDRANT_STORAGE_PATH" in caught.value.message
    assert list(store.folder.iterdir()) == []


@pytest.mark.usefixtures("somebody_else")
def test_the_engine_and_the_start_of_a_server_refuse_it_too(store: StoreIdentity) -> None:
    with pytest.raises(ConfigurationError, match="belongs to user svc"):
        StorageFolder(store.folder).prepare()
    with pytest.raises(ConfigurationError, match="belongs to user svc"):
        check_folder(store.folder)
    assert store.folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("somebody_else")
def test_sudo_makes_no_folder_where_another_user_keeps_his(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    owners.refuse_other_users(tmp_path / "new")  # a container's root may make its own
    monkeypatch.setenv("SUDO_UID", "1000")
    with pytest.raises(ConfigurationError, match="belongs to user svc"):
        owners.refuse_other_users(tmp_path / "new")


def test_what_root_left_in_a_users_folder_is_given_back_to_that_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_memory.owner import lock  # noqa: PLC0415

    monkeypatch.setattr(lock, "owner_of", lambda path: 0 if path.name == "owner.lock" else 4242)
    monkeypatch.setattr(lock, "user_name", lambda uid: {4242: "svc", 0: "root"}[uid])
    (tmp_path / "owner.lock").mkdir()  # what can't be opened as a file, for root too
    with pytest.raises(StorageError, match="belongs to user root") as caught:
        lock.FileLock(tmp_path / "owner.lock").try_acquire()
    assert f"sudo chown -R svc {tmp_path}" in caught.value.message
    assert isinstance(caught.value, MemoryServiceError)

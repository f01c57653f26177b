"""Many clients of one embedded store, with the real engine and model: owners come, hand over and are killed; nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcp_memory.domain.memory import content_hash
from mcp_memory.owner.exclusive import exclusive_use
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.lock import FileLock
from mcp_memory.owner.paths import OwnerPaths
from mcp_memory.owner.record import OwnerKind, OwnerRecord, read_record

pytestmark = [pytest.mark.slow, pytest.mark.anyio]
MEMORY = [sys.executable, "-m", "mcp_memory.cli"]
START_SECONDS = 120.0
"""For a loaded machine: a start takes two seconds on an idle one."""


class Store:
    """A storage folder, and the commands over it."""

    def __init__(self, base: Path) -> None:
        self.paths = OwnerPaths(base / "qdrant")
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "QDRANT_"))
        }
        self.environment |= {"MCP_MEMORY_BASE_DIR": str(base), "MCP_HTTP_PORT": "0"}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MEMORY, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
            env=self.environment | environment,
        )

    @property
    def owner(self) -> OwnerRecord | None:
        return read_record(self.paths.record)

    def wait_for_owner(self, fits: Callable[[OwnerRecord], bool] = lambda _: True) -> OwnerRecord:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            owner = self.owner
            if owner is not None and fits(owner):
                return owner
            time.sleep(0.02)
        raise AssertionError(f"no such owner of {self.paths.folder}: {self.owner}")

    @contextmanager
    def server(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """`memory server`, ready; ended in order."""
        process = subprocess.Popen(
            [*MEMORY, "server", *arguments],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | environment,
        )
        lines: list[str] = []
        assert process.stderr is not None
        reading = threading.Thread(target=lines.extend, args=(process.stderr,))
        reading.start()
        try:
            self.wait_for_owner(lambda owner: owner.pid == process.pid)
            yield process
        finally:
            process.terminate()
            process.wait(30)
            reading.join(30)
            process.stderr.close()

    def end(self) -> None:
        """End whoever owns the store, and wait until the engine has let go of it."""
        owner = self.owner
        if owner is not None and psutil.pid_exists(owner.pid):
            os.kill(owner.pid, signal.SIGTERM)
        for name in ("owner.lock", "engine.lock"):
            lock = FileLock(self.paths.folder / name)
            deadline = time.monotonic() + 30
            while lock.path.exists() and not lock.try_acquire():
                assert time.monotonic() < deadline, f"{name} is still held"
                time.sleep(0.02)
            lock.release()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path)
    yield found
    found.end()


class Assistant:
    """An MCP client with a `memory mcp` of its own."""

    def __init__(self, store: Store, *command: str) -> None:
        self._process = subprocess.Popen(
            [*MEMORY, *(command or ("mcp",))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=store.environment
        )
        self._number = 0
        self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "t", "version": "1"})

    def ask(self, method: str, **params: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["id"] == self._number, answer
        assert "error" not in answer, answer
        return answer["result"]

    def store(self, text: str) -> str:
        answer = self.ask("tools/call", name="memory_store", arguments={"content": text})
        assert not answer["isError"], answer
        return text

    def end(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        code = self._process.wait(30)
        self._process.stdout.close()
        return code


def test_five_assistants_the_command_line_and_a_server_share_a_store_through_kill_9_and_hand_over(store: Store) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def assistant(number: int) -> None:
        client = Assistant(store)
        written = 0
        while not stop.is_set():
            acknowledged.append(client.store(f"assistant {number} wrote sentence {written}"))
            written += 1
        assert client.end() == 0

    def command_line() -> None:
        written = 0
        while not stop.is_set():
            text = f"the command line wrote sentence {written}"
            done = store.run("store", text)
            assert done.returncode == 0, done.stderr
            acknowledged.append(text)
            written += 1

    def wait_for(number: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while len(acknowledged) < number and not any(work.done() for work in works):
            assert time.monotonic() < deadline, len(acknowledged)
            time.sleep(0.05)

    with ThreadPoolExecutor(6) as pool:
        works = [pool.submit(assistant, number) for number in range(5)] + [pool.submit(command_line)]
        try:
            wait_for(40)
            first = store.wait_for_owner()
            assert first.kind is OwnerKind.BACKGROUND
            os.kill(first.pid, signal.SIGKILL)
            wait_for(len(acknowledged) + 40)
            second = store.wait_for_owner(lambda owner: owner.pid != first.pid)
            assert second.kind is OwnerKind.BACKGROUND
            with store.server() as server:  # asks the background owner to hand over
                psutil.wait_procs([psutil.Process(second.pid)] if psutil.pid_exists(second.pid) else [], timeout=30)
                wait_for(len(acknowledged) + 40)
                server.kill()
                wait_for(len(acknowledged) + 40)
            third = store.wait_for_owner(lambda owner: owner.pid != server.pid)
            assert third.kind is OwnerKind.BACKGROUND
        finally:
            stop.set()
        for work in works:
            work.result()
    exported = store.run("export", "-")
    found = {json.loads(line)["content_hash"] for line in exported.stdout.splitlines()}
    lost = [text for text in acknowledged if content_hash(text) not in found]
    assert lost == []
    assert len(acknowledged) >= 160


def test_a_second_server_is_refused_by_folder_and_process(store: Store) -> None:
    with store.server() as first:
        second = store.run("server")
        assert second.returncode == 69
        assert str(store.paths.folder) in second.stderr
        assert f"process {first.pid}" in second.stderr
        assert re.search(r"at http://127\.0\.0\.1:\d+", second.stderr)
        assert "Traceback" not in second.stderr
        assert first.poll() is None
    assert first.returncode == 0
    assert store.owner is None


def test_other_settings_than_the_servers_are_refused_in_words(store: Store) -> None:
    with store.server():
        done = store.run("search", "anything", MCP_EMBEDDING_MODEL="another-model")
        assert done.returncode == 78
        assert "its embedding model is all-MiniLM-L6-v2, yours another-model" in done.stderr


def test_a_server_answers_nothing_of_internal_on_its_public_address(store: Store) -> None:
    with store.server():
        owner = store.wait_for_owner(lambda owner: owner.tcp is not None)
        for path in ("/internal/owner", "/internal/export"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{owner.tcp}{path}")
            assert caught.value.code == 404
            caught.value.close()


def test_old_configurations_find_mcp_on_the_pipes_they_give_to_memory_server(store: Store) -> None:
    client = Assistant(store, "server")
    client.store("by an old configuration")
    assert client.end() == 0
    assert "by an old configuration" in store.run("list").stdout


def test_a_server_with_pipes_that_nobody_writes_to_serves_http(store: Store) -> None:
    with subprocess.Popen(
        [*MEMORY, "server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=store.environment,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        process.stdin.close()
        owner = store.wait_for_owner(lambda owner: owner.tcp is not None)
        assert owner.kind is OwnerKind.SERVER
        process.terminate()
        assert process.stdout is not None
        assert process.stdout.read() == b""


@pytest.mark.parametrize("workers", [None, 1, 2], ids=["background", "server", "two workers"])
async def test_maintenance_has_the_folder_for_itself_and_clients_go_on_afterwards(
    store: Store, workers: int | None
) -> None:
    kind = OwnerKind.SERVER if workers else OwnerKind.BACKGROUND
    with ExitStack() as stack:
        if kind is OwnerKind.SERVER:
            stack.enter_context(store.server("--workers", str(workers)))
        assert store.run("store", "before the maintenance").returncode == 0
        owner = store.wait_for_owner()
        assert owner.kind is kind
        async with exclusive_use(identity_of(store, owner), reason="a test"):
            engine = FileLock(store.paths.folder / "engine.lock")
            assert engine.try_acquire(), "an engine still has the folder"
            busy = await asyncio.to_thread(store.run, "store", "meanwhile")
            assert busy.returncode == 69
            assert "under maintenance" in busy.stderr
            assert str(os.getpid()) in busy.stderr
            if kind is OwnerKind.BACKGROUND:
                assert "under maintenance" in store.run("server").stderr
            engine.release()
        assert store.run("store", "after the maintenance").returncode == 0
        listed = store.run("list").stdout
        assert "before the maintenance" in listed
        assert "after the maintenance" in listed
        assert "meanwhile" not in listed
        if kind is OwnerKind.SERVER:
            assert store.owner == owner


async def test_a_server_killed_during_maintenance_does_not_open_the_folder_again(store: Store) -> None:
    with store.server() as server:
        owner = store.wait_for_owner()
        async with exclusive_use(identity_of(store, owner), reason="a test"):
            server.kill()
            server.wait()
            again = await asyncio.to_thread(store.run, "server")
            assert again.returncode == 69
            assert "under maintenance: a test" in again.stderr
            assert "under maintenance: a test" in (await asyncio.to_thread(store.run, "list")).stderr
    assert store.run("list").returncode == 0


def identity_of(store: Store, owner: OwnerRecord) -> StoreIdentity:
    return StoreIdentity(
        folder=store.paths.folder,
        model=owner.model,
        fingerprint=owner.fingerprint,
        exclusive=True,
        idle_seconds=60,
        environment=(),
    )

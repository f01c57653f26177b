#!/usr/bin/env python3
"""Run the original service's own tests against this one, and compare with the list of those that fail on purpose.

usage: original_tests.py FOLDER PYTHON [PATTERN]

FOLDER keeps the original's sdist, which tests/original/uv.lock pins. PYTHON is the interpreter of that lock's environment.
PATTERN: only files of tests whose path contains it; then the list's other tests are left out of the comparison. Ends with 1
where a test fails without being listed in tests/original/expected.toml, or is listed and passes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from original_outcomes import PASSED, Outcome, applied, differences, read_expected, summary

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "original"
PACKAGE = "mcp-memory-service"
ASKS_THE_SERVICE = ("TestClient(", "ASGITransport(", "MemoryServer(", '"uv", "run", "memory')
"""What a file of tests has that goes to an application, a tool or a command; others test the original's inside."""
FOLDER_SECONDS = 900.0
TEST_SECONDS = 60
START_SECONDS = 120.0


def fetch(folder: Path) -> Path:
    """The unpacked sdist: from an earlier run, or from where the lock says, after checking what it pins."""
    lock = tomllib.loads((HERE / "uv.lock").read_text(encoding="utf-8"))
    package = next(package for package in lock["package"] if package["name"] == PACKAGE)
    pinned = package["sdist"]["hash"].removeprefix("sha256:")
    unpacked: Path = folder / pinned[:16] / f"{PACKAGE.replace('-', '_')}-{package['version']}"
    if unpacked.is_dir():
        return unpacked
    part = unpacked.parent.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    archive = part / "sdist.tar.gz"
    with urllib.request.urlopen(package["sdist"]["url"], timeout=300) as answer:  # noqa: S310 - https, from our lock
        archive.write_bytes(answer.read())
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != pinned:
        sys.exit(f"original_tests: the sdist of {PACKAGE} has the SHA-256 {found}, pinned is {pinned}; nothing was run")
    with tarfile.open(archive) as tar:
        tar.extractall(part, filter="data")
    archive.unlink()
    part.rename(unpacked.parent)
    return unpacked


def files_of(sdist: Path, pattern: str) -> list[str]:
    """Files of tests that have something to ask a service, relative to the sdist."""
    found = sorted((sdist / "tests").rglob("test_*.py"))
    asking = (path for path in found if any(mark in path.read_text(encoding="utf-8") for mark in ASKS_THE_SERVICE))
    return [name for path in asking if pattern in (name := path.relative_to(sdist).as_posix())]


def environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's, without settings of either service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "QDRANT_", "OPENAI_"))}
    return kept | {"HOME": str(home)} | variables


@contextmanager
def service(home: Path) -> Iterator[str]:
    """A service of ours on a free port, with an empty store in `home`; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = environment(
        home, MCP_MEMORY_BASE_DIR=str(home), MCP_HTTP_PORT=str(port), MCP_SEMANTIC_DEDUP_ENABLED="false"
    )
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_memory.cli", "server", "--http"],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}", home / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Ask until it is ready; ends the run with its log where it isn't."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=10):  # noqa: S310 - http to loopback
                return
        except OSError:
            time.sleep(0.1)
    process.kill()
    sys.exit(f"original_tests: the service did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")


def run_folder(sdist: Path, python: str, names: list[str], home: Path, url: str) -> dict[str, Outcome]:
    """The outcomes of a folder's files of tests against the service at `url`, whose store is in `home`."""
    report = home / "outcomes.jsonl"
    report.unlink(missing_ok=True)
    variables = environment(
        home,
        PYTHONPATH=str(HERE),
        SERVICE_URL=url,
        SERVICE_SOCKET=str(next(home.rglob("owner.sock"))),
        SERVICE_PROGRAMS=str(Path(sys.executable).parent),
        OUTCOMES=str(report),
    )
    options = ["-q", "--no-header", "--tb=no", f"--timeout={TEST_SECONDS}", "-p", "no:cacheprovider", "-p", "redirect"]
    with (home / "pytest.log").open("w+b") as log:
        try:
            ended = subprocess.run(
                [python, "-m", "pytest", *options, "--continue-on-collection-errors", *names],
                cwd=sdist,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=FOLDER_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            ended = -1
            print(f"not at its end after {FOLDER_SECONDS:.0f} s", flush=True)
        if ended not in (0, 1):
            log.seek(0)
            print(log.read().decode("utf-8", "replace")[-3000:], flush=True)
    lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
    return {
        entry["test"]: Outcome(entry["outcome"], reached=entry["reached"], message=entry["message"])
        for entry in map(json.loads, lines)
    }


def run_all(sdist: Path, python: str, files: list[str]) -> dict[str, Outcome]:
    """The outcomes of all files, folder by folder, against one service, which is emptied before every test."""
    outcomes: dict[str, Outcome] = {}
    with (
        tempfile.TemporaryDirectory(prefix="original-", ignore_cleanup_errors=True) as folder,
        service(Path(folder)) as url,
    ):
        for parent, names in groupby(sorted(files, key=os.path.dirname), key=os.path.dirname):
            began = time.monotonic()
            found = run_folder(sdist, python, list(names), Path(folder), url)
            ran = applied(found)
            passed = sum(outcome.outcome == PASSED for outcome in ran.values())
            print(f"{passed:4} of {len(ran):3} passed, {time.monotonic() - began:5.1f} s  {parent}", flush=True)
            outcomes |= found
    return outcomes


def main(folder: Path, python: str, pattern: str) -> int:
    """Fetch, run folder by folder, compare; the exit code."""
    expected = read_expected(HERE / "expected.toml")
    sdist = fetch(folder)
    files = files_of(sdist, pattern)
    outcomes = run_all(sdist, python, files)
    if pattern:
        expected = {test: reason for test, reason in expected.items() if test.split("::")[0] in files}
    (folder / "outcomes.json").write_text(
        json.dumps({test: vars(outcome) for test, outcome in outcomes.items()}, indent=1), encoding="utf-8"
    )
    print(f"\n{summary(outcomes, expected)}")
    departures = list(differences(outcomes, expected))
    for difference in departures:
        print(f"\n{len(difference.tests)} of them: {difference.what}")
        for test in difference.tests:
            print(f"  {test}  {outcomes[test].message if test in outcomes else ''}")
    return 1 if departures else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve(), str(Path(sys.argv[2]).absolute()), *sys.argv[3:4] or [""]))

"""A library that can't be loaded ends every command in words, with one remedy, and `doctor` still answers."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_memory.native import advice, unloadable

FOREIGN = b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x03\x00\x28\x00" + bytes(200)
"""The head of a 32-bit ARM library, as one wheel for ARM64 once held."""
MESSAGES = {
    "elf": (FOREIGN, "wrong ELF class|invalid ELF header"),
    "text": (b"not a library at all", "invalid ELF header|file too short"),
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux's format of libraries")


def broken(folder: Path, package: str, content: bytes) -> Path:
    """A folder for PYTHONPATH in which the package's compiled files are something else."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent
    for file in source.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            copy = folder / package / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if ".so" in file.name:
                copy.write_bytes(content)
            else:
                copy.symlink_to(file)
    return folder


def memory(*arguments: str, path: Path, base: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(path), "MCP_MEMORY_BASE_DIR": str(base)}
    command = [sys.executable, "-m", "mcp_memory.cli", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, env=environment, timeout=120, check=False
    )


@pytest.mark.parametrize("package", ["pydantic_core", "qdrant_edge", "numpy", "orjson"])
def test_doctor_names_a_library_that_cannot_be_loaded_and_its_remedy(tmp_path: Path, package: str) -> None:
    path = broken(tmp_path / "broken", package, FOREIGN)
    done = memory("doctor", "--offline", path=path, base=tmp_path / "base")
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 78
    assert "ELFCLASS32" in done.stdout
    assert advice().split(":  ")[1] in done.stdout
    assert done.stdout.count("Machine") == 1


def test_doctor_answers_in_json_too(tmp_path: Path) -> None:
    path = broken(tmp_path / "broken", "pydantic_core", FOREIGN)
    report = json.loads(memory("doctor", "--json", path=path, base=tmp_path / "base").stdout)
    assert report["healthy"] is False
    assert {"Machine", "Libraries", "Engine"} <= {check["name"] for check in report["checks"]}


@pytest.mark.parametrize("package", ["pydantic_core", "numpy"])
@pytest.mark.parametrize("command", [("store", "x"), ("search", "x"), ("server", "--http"), ("migrate", "rollback")])
def test_every_command_ends_in_the_same_words(tmp_path: Path, package: str, command: tuple[str, ...]) -> None:
    path = broken(tmp_path / "broken", package, FOREIGN)
    done = memory(*command, path=path, base=tmp_path / "base")
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 78 or command[0] == "migrate"
    if done.returncode == 78:
        assert advice() in done.stderr


def test_an_mcp_client_is_told_in_the_answer_to_its_request(tmp_path: Path) -> None:
    path = broken(tmp_path / "broken", "pydantic_core", b"not a library at all")
    request = (
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "memory_health"}}) + "\n"
    )
    done = memory("mcp", path=path, base=tmp_path / "base", stdin=request)
    assert "can't be loaded" in json.loads(done.stdout.splitlines()[-1])["error"]["message"]


def test_a_mistake_of_our_own_keeps_its_traceback() -> None:
    assert unloadable(ImportError("cannot import name 'x'", name="mcp_memory.domain")) is None
    assert unloadable(ValueError("x")) is None


def test_the_first_cause_is_told_of_a_chain() -> None:
    try:
        try:
            raise ImportError("libfoo.so.1: cannot open shared object file", name="numpy._core")
        except ImportError as first:
            raise ImportError("IMPORTANT: PLEASE READ THIS") from first
    except ImportError as error:
        problem = unloadable(error)
    assert problem is not None
    assert "libfoo.so.1" in problem.message
    assert "IMPORTANT" not in problem.message

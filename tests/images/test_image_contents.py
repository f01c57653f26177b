"""What is in an image, and what isn't: read from its files, so that no architecture needs emulation."""

from __future__ import annotations

import _imp
import re

import pytest

from engine import Image
from filesystem import ELF_MACHINES, FileSystem

pytestmark = pytest.mark.slow

LARGEST_PAGE = 64 * 1024
"""Kernels with 64 KiB pages (and the 16 KiB of a Raspberry Pi 5) can't load a library that is aligned to less."""
BUILD_TOOLS = {"gcc", "cc", "g++", "ld", "as", "make", "uv", "uvx", "pip", "pip3", "cargo", "curl", "wget", "git"}
SITE_PACKAGES = "/app/.venv/lib/python3.13/site-packages"
UNCHECKED_HASH = 1


def test_every_compiled_file_is_made_for_the_image_s_own_processor(filesystem: FileSystem) -> None:
    expected = ELF_MACHINES[filesystem.image.platform]
    found = list(filesystem.elf_files())
    wrong = [elf.path for elf in found if (elf.bits, elf.machine) != (64, expected)]
    assert len(found) > 300
    assert not wrong, "the ELFCLASS32 story"


def test_every_compiled_file_of_the_arm64_image_loads_on_kernels_with_64k_pages(filesystem: FileSystem) -> None:
    if filesystem.image.platform != "linux/arm64":
        pytest.skip("AMD64 has pages of 4 KiB only")
    small = {elf.path: min(elf.load_alignments) for elf in filesystem.elf_files() if elf.load_alignments}
    assert not {path: align for path, align in small.items() if align < LARGEST_PAGE}


def test_no_file_gives_another_user_s_rights(filesystem: FileSystem) -> None:
    assert not [path for path, member in filesystem.members.items() if member.isfile() and member.mode & 0o6000]


def test_no_file_of_the_program_can_be_changed_by_its_user(filesystem: FileSystem) -> None:
    loose = [
        path
        for path, member in filesystem.members.items()
        if path.startswith(("/app", "/usr", "/etc"))
        and not member.issym()
        and (member.uid != 0 or member.mode & 0o022)
        and not path.startswith("/usr/local/")  # Debian gives it to the group staff, which has no member
    ]
    assert not loose


@pytest.mark.parametrize("folder", ["/data", "/volumes/keys", "/volumes/qdrant", "/volumes/qdrant-config"])
def test_folders_for_volumes_are_for_the_service_s_user_alone(filesystem: FileSystem, folder: str) -> None:
    member = filesystem.members[folder]
    assert (member.uid, member.gid, member.mode & 0o7777) == (1000, 1000, 0o700)


def test_there_are_no_build_tools(filesystem: FileSystem) -> None:
    programs = {path.rpartition("/")[2] for path in filesystem.files() if "/bin/" in path or "/sbin/" in path}
    assert not programs & BUILD_TOOLS
    assert not [path for path in filesystem.members if path.endswith(("/site-packages/pip", "/site-packages/uv"))]


def test_bytecode_is_never_stale_whatever_happens_to_timestamps(filesystem: FileSystem) -> None:
    stale, checked = [], 0
    for path in filesystem.files(".pyc"):
        source = re.sub(r"__pycache__/([^/]+)\.cpython-313(\.opt-\d)?\.pyc$", r"\1.py", path)
        pyc = filesystem.read(path)
        flags = int.from_bytes(pyc[4:8], "little")
        expected = _imp.source_hash(int.from_bytes(pyc[:4], "little"), filesystem.read(source))
        checked += 1
        if flags != UNCHECKED_HASH or pyc[8:16] != expected:
            stale.append(path)
    assert checked > 3000
    assert not stale


def test_the_service_s_own_modules_and_its_libraries_are_compiled(filesystem: FileSystem) -> None:
    for module in ("mcp_memory/http/app", "fastapi/applications", "onnxruntime/__init__"):
        folder, _, name = module.rpartition("/")
        assert f"{SITE_PACKAGES}/{folder}/__pycache__/{name}.cpython-313.pyc" in filesystem.members


def test_the_default_model_is_there_once(filesystem: FileSystem) -> None:
    large = [path for path in filesystem.files() if filesystem.members[path].size > 40_000_000]
    assert large == [f"{SITE_PACKAGES}/mcp_memory_minilm/graph/weights.bin"]


def test_no_secret_is_in_files_or_environment(filesystem: FileSystem) -> None:
    keys = [
        path
        for path in filesystem.files()
        if filesystem.members[path].size < 1_000_000
        and not path.endswith((".py", ".pyc", ".pyi"))
        and b"PRIVATE KEY-----" in filesystem.read(path)
    ]
    assert not keys
    assert not [path for path in filesystem.members if path.startswith("/run/secrets")]
    variables = dict(entry.split("=", 1) for entry in filesystem.image.config()["Env"])
    assert not [
        name for name in variables if re.search("KEY|TOKEN|SECRET|PASSWORD", name) and not name.endswith("_FILE")
    ]


def test_no_layer_hides_what_another_one_holds(image: Image) -> None:
    """What a later layer deletes or replaces is still in the image for whoever unpacks it: nothing is."""
    seen: dict[str, int] = {}
    twice = []
    for number, entries in enumerate(image.layers()):
        for path in entries:
            if path.rpartition("/")[2].startswith(".wh."):
                twice.append(f"layer {number} hides {path}")
            elif path in seen:
                twice.append(f"{path} is in layers {seen[path]} and {number}")
            seen[path] = number
    assert len(seen) > 10_000
    assert not twice


def test_history_tells_no_secret(image: Image) -> None:
    steps = "\n".join(image.history())
    assert "healthcheck.py" in steps
    assert not re.search(r"BEGIN|PRIVATE KEY|[A-Z_]*(?:TOKEN|SECRET|PASSWORD)=\S", steps)


def test_image_says_how_to_run_it(image: Image) -> None:
    config = image.config()
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["memory"]
    assert config["Cmd"] == ["server"]
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    assert list(config["Volumes"]) == ["/data"]
    assert config["Healthcheck"]["StartInterval"] <= 1_000_000_000
    labels = config["Labels"]
    assert {"title", "description", "licenses", "version", "revision"} <= {
        name.removeprefix("org.opencontainers.image.") for name in labels
    }

"""What would fail later and darkly is found before the start and said in words: folders, space, page size, foreign libraries."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mcp_memory.config import Settings
from mcp_memory.domain.errors import ConfigurationError, StorageFullError
from mcp_memory.loggers import structlog
from mcp_memory.system.owners import owner_of, refuse_other_users, user_name

NATIVE_PACKAGES = (
    "qdrant_edge",
    "onnxruntime",
    "tokenizers",
    "pydantic_core",
    "orjson",
    "msgspec",
    "apsw",
    "sqlite_vec",
)
"""Packages with compiled code that the service can't do without; looked into without importing them."""
ELF_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183}
"""e_machine of an ELF header, by platform.machine()."""
FIRST_QDRANT_WITH_LARGE_PAGES = (1, 19)
"""Its allocator is the first that is built for pages of 16 and 64 kB on ARM64; older ones abort at their start."""
COMMON_PAGE = 4096
SMALLEST_SPACE = 8 * 1024 * 1024
"""Bytes without which not even an empty store can be made."""

log = structlog.stdlib.get_logger("mcp_memory")


def preflight(settings: Settings) -> None:
    """Raises ConfigurationError or StorageFullError for what can't work; logs a warning for what will go wrong soon."""
    check_libraries(native_files())
    servers = settings.qdrant_urls
    folder = settings.base_dir if servers else settings.qdrant_path
    check_folder(folder)
    check_space(folder, settings.disk_reserve_bytes)
    page = page_size()
    if servers and page != COMMON_PAGE:
        check_page_size(page, servers[0], qdrant_version(servers[0]))


def native_files() -> Iterator[Path]:
    """Compiled files of the packages above, where they are installed."""
    for name in NATIVE_PACKAGES:
        spec = importlib.util.find_spec(name)
        for location in (spec.submodule_search_locations or ()) if spec is not None else ():
            for folder, _, names in os.walk(location):
                yield from (Path(folder, file) for file in names if ".so" in file)


def check_libraries(files: Iterator[Path]) -> None:
    """Raises ConfigurationError where a compiled file is made for another machine (an ARM64 wheel once held a 32-bit library)."""
    expected = ELF_MACHINES.get(platform.machine().lower())
    for path in files:
        with path.open("rb") as file:
            head = file.read(20)
        if head[:4] != b"\x7fELF" or expected is None:
            continue
        machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
        if head[4] != 2 or machine != expected:
            bits = {1: "ELFCLASS32", 2: "ELFCLASS64"}.get(head[4], "damaged")
            raise ConfigurationError(
                f"{path} is made for another processor ({bits}, machine {machine}; this is {platform.machine()}).\n"
                "Install the libraries again on this machine:  uv sync --reinstall\n"
                f"In a container, take the image of this platform:  docker pull --platform linux/{_docker_name()} IMAGE"
            )


def _docker_name() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def check_folder(folder: Path) -> None:
    """Raises ConfigurationError where the storage folder can't be made or written by this user, or belongs to another."""
    if sys.platform == "win32":
        return
    refuse_other_users(folder)
    nearest = _nearest(folder)
    if os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        return
    me, mine = os.getuid(), owner_of(nearest) == os.getuid()
    raise ConfigurationError(
        f"The storage folder {folder} can't be used by user {user_name(me)}: {nearest} is not writable.\n"
        + (
            f"Let its user write to it:  chmod u+rwx {nearest}"
            if mine
            else f"Make the folder for this user:  sudo install -d -m 0700 -o {me} -g {os.getgid()} {folder}"
        )
        + '\nFor the volume of a container, docs/install.md has the one command ("A volume that root made").'
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the lowest one above it that this user can see."""
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110 - False where it is forbidden


def check_space(folder: Path, reserve: int) -> None:
    """Raises StorageFullError where nothing fits any more; warns where writes will be refused."""
    if not hasattr(os, "statvfs"):
        return
    nearest = _nearest(folder)
    room = os.statvfs(nearest)
    free = room.f_bavail * room.f_frsize
    if free < SMALLEST_SPACE and nearest != folder:
        raise StorageFullError(
            f"No space is left for a store in {folder}: {free >> 20} MiB are free. Free some, or set MCP_QDRANT_STORAGE_PATH "
            "to a folder on a larger disk."
        )
    if free < reserve:
        log.warning(
            "little space is left: memories can be read, writes are refused until there is more",
            folder=str(nearest),
            free_mib=free >> 20,
            kept_back_mib=reserve >> 20,
        )


def page_size() -> int:
    """Bytes of a memory page: 4096 nearly everywhere, 16384 on a Raspberry Pi 5 and Asahi, 65536 on some servers."""
    return os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else COMMON_PAGE


def check_page_size(page: int, url: str, version: str | None) -> None:
    """Raises ConfigurationError where Qdrant is too old for this machine's pages; warns where it doesn't answer."""
    advice = f'Qdrant before v1.19.0 aborts on ARM64 machines with pages of {page // 1024} kB ("Unsupported system page size")'
    if version is None:
        log.warning(f"Qdrant doesn't answer; if its image is older, that may be why: {advice}", url=url)
        return
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < FIRST_QDRANT_WITH_LARGE_PAGES:
        raise ConfigurationError(
            f"{advice}, and {url} is {version}: it would not start on this machine.\n"
            "Use the image qdrant/qdrant:v1.19.0 or later, or boot a kernel with pages of 4 kB "
            "(Raspberry Pi 5: kernel=kernel8.img in config.txt)."
        )


def qdrant_version(url: str) -> str | None:
    """What Qdrant says its version is, which it tells everybody, or None where it doesn't answer."""
    import httpx  # noqa: PLC0415 - only on machines with unusual pages

    try:
        return str(httpx.get(f"{url}/", timeout=3).json()["version"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None

"""What would fail later and darkly is found before the start and said in words: folders, space, page size, foreign libraries."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mcp_memory.addresses import check_proxies
from mcp_memory.certificates import check_certificate_files
from mcp_memory.config import Provider, Settings, variables
from mcp_memory.domain.errors import ConfigurationError, StorageFullError
from mcp_memory.embedding.choice import check_choice
from mcp_memory.embedding_settings import embedding_options
from mcp_memory.generated_key import wants_generated_key
from mcp_memory.loggers import structlog
from mcp_memory.native import check_libraries, native_files
from mcp_memory.original_settings import closed_in_vain, without_effect
from mcp_memory.sizes import size
from mcp_memory.system.owners import owner_of, refuse_other_users, user_name
from mcp_memory.zones import system_zone

FIRST_QDRANT_WITH_LARGE_PAGES = (1, 19)
"""Its allocator is the first that is built for pages of 16 and 64 KiB on ARM64; older ones abort at their start."""
COMMON_PAGE = 4096
SMALLEST_SPACE = 8 * 1024 * 1024
"""Bytes without which not even an empty store can be made."""

log = structlog.stdlib.get_logger("mcp_memory")


def preflight(settings: Settings) -> None:
    """Raises ConfigurationError or StorageFullError for what can't work; logs a warning for what will go wrong soon, and what has
    no effect."""
    for _, check in START_CHECKS:
        check(settings)
    for notice in without_effect(variables()):
        log.warning(notice)


def _libraries(_: Settings) -> None:
    check_libraries(native_files())


def _nothing_left_open(_: Settings) -> None:
    """Raises ConfigurationError for variables that are to close something and can't."""
    if sentences := closed_in_vain(variables()):
        raise ConfigurationError("\n".join(sentences))


def _zone(settings: Settings) -> None:
    if settings.timezone is None:
        system_zone()


def _address(settings: Settings) -> None:
    """Raises ConfigurationError for an address that can't be had, or would be open to a network without a key."""
    from mcp_memory.http.listen import check_address  # noqa: PLC0415

    check_address(settings, keyed=wants_generated_key(settings))


def _way_out(settings: Settings) -> None:
    """Raises ConfigurationError where a way to other services is needed and the certificates or a proxy for it can't be used."""
    if settings.qdrant_urls or settings.external_embedding_url or settings.embedding_provider is Provider.OPENAI:
        check_certificate_files()
        check_proxies()
    if settings.qdrant_ca_file is not None and not settings.qdrant_ca_file.is_file():
        raise ConfigurationError(f"MCP_QDRANT_CA_FILE: there is no file {settings.qdrant_ca_file}.")


def _model(settings: Settings) -> None:
    """Raises ConfigurationError where the settings about the model can't work together. No model is loaded."""
    check_choice(embedding_options(settings))


def _folder(settings: Settings) -> None:
    check_folder(_folder_of(settings))


def _space(settings: Settings) -> None:
    check_space(_folder_of(settings), settings.disk_reserve_bytes)


def _pages(settings: Settings) -> None:
    servers = settings.qdrant_urls
    page = page_size()
    if servers and page != COMMON_PAGE:
        check_page_size(page, servers[0], qdrant_version(servers[0]))


def _folder_of(settings: Settings) -> Path:
    return settings.base_dir if settings.qdrant_urls else settings.qdrant_path


START_CHECKS: tuple[tuple[str, Callable[[Settings], None]], ...] = (
    ("Libraries", _libraries),
    ("Settings", _nothing_left_open),
    ("Settings", _zone),
    ("Settings", _address),
    ("Settings", _way_out),
    ("Settings", _model),
    ("Folder", _folder),
    ("Space", _space),
    ("Pages", _pages),
)
"""What a start looks at, in this order, and `memory doctor` too: the name of the finding, and the check."""


def check_folder(folder: Path) -> None:
    """Raises ConfigurationError where the storage folder can't be made or written by this user, or belongs to another."""
    if sys.platform == "win32":
        return
    refuse_other_users(folder)
    nearest = _nearest(folder)
    if os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        return
    me, owner = os.getuid(), owner_of(nearest)
    whose = "" if owner is None or owner == me else f", which belongs to user {user_name(owner)},"
    raise ConfigurationError(
        f"The storage folder {folder} can't be used by user {user_name(me)}: {nearest}{whose} is not writable.\n"
        + (_mounted_read_only(folder, nearest) or _of_wrong_owner_or_mode(folder, nearest, me))
    )


def _mounted_read_only(folder: Path, nearest: Path) -> str:
    """What to do where no owner and no mode would help, also root not; empty where that isn't so."""
    if not os.statvfs(nearest).f_flag & os.ST_RDONLY:
        return ""
    return (
        "Its file system is mounted read-only here. Under systemd, name the folder in the unit "
        f"(sudo systemctl edit mcp-memory-service):\n  [Service]\n  ReadWritePaths={folder}\n"
        f"Elsewhere, mount it for writing:  findmnt --target {nearest}"
    )


def _of_wrong_owner_or_mode(folder: Path, nearest: Path, me: int) -> str:
    if owner_of(nearest) == me:
        remedy = f"Let its user write to it:  chmod u+rwx {nearest}"
    else:
        remedy = f"Make the folder for this user:  sudo install -d -m 0700 -o {me} -g {os.getgid()} {folder}"
    return remedy + '\nFor the volume of a container, docs/install.md has the one command ("A volume that root made").'


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
            f"No space is left for a store in {folder}: {size(free)} are free. Free some, or set MCP_QDRANT_STORAGE_PATH "
            "to a folder on a larger disk."
        )
    if free < reserve:
        log.warning(
            "little space is left: memories can be read, writes are refused until there is more",
            folder=str(nearest),
            free=size(free),
            kept_back=size(reserve),
        )


def page_size() -> int:
    """Bytes of a memory page: 4096 nearly everywhere, 16384 on a Raspberry Pi 5 and Asahi, 65536 on some servers."""
    return os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else COMMON_PAGE


def check_page_size(page: int, url: str, version: str | None) -> None:
    """Raises ConfigurationError where Qdrant is too old for this machine's pages; warns where it doesn't answer."""
    advice = f'Qdrant before v1.19.0 aborts on ARM64 machines with pages of {page // 1024} KiB ("Unsupported system page size")'
    if version is None:
        log.warning(f"Qdrant doesn't answer; if its image is older, that may be why: {advice}", url=url)
        return
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < FIRST_QDRANT_WITH_LARGE_PAGES:
        raise ConfigurationError(
            f"{advice}, and {url} is {version}: it would not start on this machine.\n"
            "Use the image qdrant/qdrant:v1.19.0 or later, or boot a kernel with pages of 4 KiB "
            "(Raspberry Pi 5: kernel=kernel8.img in config.txt)."
        )


def qdrant_version(url: str) -> str | None:
    """What Qdrant says its version is, which it tells everybody, or None where it doesn't answer."""
    import httpx  # noqa: PLC0415 - only on machines with unusual pages

    try:
        return str(httpx.get(f"{url}/", timeout=3).json()["version"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None

"""The libraries with compiled code: whether they are made for this machine, and what to do where one can't be loaded.

Standard library only: this is what speaks when nothing else can be imported.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mcp_memory.domain.errors import ConfigurationError

DISTRIBUTION = "mcp-memory-qdrant"
"""The name under which this service is installed."""
PACKAGES = (
    "qdrant_edge",
    "onnxruntime",
    "tokenizers",
    "numpy",
    "pydantic_core",
    "orjson",
    "msgspec",
    "apsw",
    "sqlite_vec",
)
"""Packages with compiled code that the service can't do without; looked into without importing them."""
ELF_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183}
"""e_machine of an ELF header, by platform.machine()."""


def missing_packages() -> list[str]:
    """Which of the packages aren't installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def native_files() -> Iterator[Path]:
    """Compiled files of the packages above, where they are installed."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        for location in (spec.submodule_search_locations or ()) if spec is not None else ():
            for folder, _, names in os.walk(location):
                yield from (Path(folder, file) for file in names if ".so" in file)


def elf_problem(path: Path) -> str | None:
    """What is wrong with a compiled file for this process, or None; other formats than ELF are not looked into."""
    with path.open("rb") as file:
        head = file.read(20)
    expected = ELF_MACHINES.get(platform.machine().lower())
    if head[:4] != b"\x7fELF" or expected is None:
        return None
    if len(head) < 20:
        return f"{path} is damaged"
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    if head[4] == 2 and machine == expected:
        return None
    bits = {1: "ELFCLASS32", 2: "ELFCLASS64"}.get(head[4], "damaged")
    return f"{path} is made for another processor ({bits}, machine {machine}; this is {platform.machine()})"


def check_libraries(paths: Iterable[Path]) -> None:
    """Raises ConfigurationError where a compiled file is made for another machine (an ARM64 wheel once held a 32-bit library)."""
    for path in paths:
        if (problem := elf_problem(path)) is not None:
            raise ConfigurationError(f"{problem}.\n{advice()}")


def unloadable(error: BaseException) -> ConfigurationError | None:
    """What to say of a library that couldn't be imported; None for every other error, and for modules of our own."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    failed = [each for each in chain if isinstance(each, ImportError)]
    if not isinstance(error, ImportError) or not failed:
        return None
    first = failed[-1]
    if (first.name or "").partition(".")[0] == "mcp_memory" and not (first.path or "").endswith((".so", ".pyd")):
        return None
    why = (str(first).strip().splitlines() or [type(first).__name__])[0]
    said = "" if _names_file(why) or not first.path else f" ({first.path})"
    return ConfigurationError(f"A library that the service needs can't be loaded: {why}{said}.\n{advice()}")


def _names_file(text: str) -> bool:
    return ".so" in text or ".pyd" in text


def advice() -> str:
    """How to install the libraries again, as this installation was made."""
    if (files("mcp_memory") / "build.json").is_file():  # written when an image is built
        name = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        return f"Take the image of this machine's platform:  docker pull --platform linux/{name} IMAGE"
    return f"Install the libraries again on this machine:  {reinstall_command()}"


def reinstall_command() -> str:
    """The command that installs everything again, wherever it is typed."""
    python = shlex.quote(sys.executable)
    checkout = _checkout()
    if checkout is not None:
        return f"uv sync --reinstall --directory {shlex.quote(str(checkout))}"
    if "pipx" in Path(sys.prefix).parts:
        return f"pipx reinstall {DISTRIBUTION}"
    if Path(sys.prefix, "uv-receipt.toml").is_file():
        return f"uv tool install --reinstall {DISTRIBUTION}"
    if importlib.util.find_spec("pip") is not None:
        return f"{python} -m pip install --force-reinstall {DISTRIBUTION}"
    return f"uv pip install --python {python} --reinstall {DISTRIBUTION}"


def upgrade_command() -> str:
    """The command that installs the newest release, as this installation was made."""
    checkout = _checkout()
    if checkout is not None:
        return f"git -C {shlex.quote(str(checkout))} pull && uv sync --directory {shlex.quote(str(checkout))}"
    if "pipx" in Path(sys.prefix).parts:
        return f"pipx upgrade {DISTRIBUTION}"
    if Path(sys.prefix, "uv-receipt.toml").is_file():
        return f"uv tool upgrade {DISTRIBUTION}"
    if importlib.util.find_spec("pip") is not None:
        return f"{shlex.quote(sys.executable)} -m pip install --upgrade {DISTRIBUTION}"
    return f"uv pip install --python {shlex.quote(sys.executable)} --upgrade {DISTRIBUTION}"


def _checkout() -> Path | None:
    """The clone that this installation runs from, or None."""
    try:
        text = distribution(DISTRIBUTION).read_text("direct_url.json")
        url = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    folder = Path(unquote(urlsplit(str(url.get("url", ""))).path))
    return folder if url.get("dir_info", {}).get("editable") and (folder / "uv.lock").is_file() else None

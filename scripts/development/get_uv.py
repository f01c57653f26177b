#!/usr/bin/env python3
"""Print the path of a uv to use, bringing a pinned one into the folder given where none is installed.

usage: get_uv.py FOLDER

Looks for: uv on PATH; FOLDER/bin/uv from an earlier call; then installs the pinned version from PyPI, by pip where this Python
has venv and pip, else (a bare Debian has neither) by unpacking the wheel itself after checking its SHA-256.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import platform
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

VERSION = "0.13.9"
WHEELS = {
    ("Linux", "x86_64"): "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ("Linux", "aarch64"): "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ("Darwin", "x86_64"): "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
    ("Darwin", "arm64"): "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
}
"""SHA-256 of the wheels of VERSION on PyPI, by operating system and machine."""


def by_pip(folder: Path) -> bool:
    """Make a virtual environment and install uv into it; False where this Python can't."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return False
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=sys.stderr)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", f"uv=={VERSION}"], check=True, stdout=sys.stderr)
    return True


def by_wheel(folder: Path) -> None:
    """Fetch the wheel for this machine, check it, and take the program out of it."""
    key = (platform.system(), platform.machine())
    if key not in WHEELS:
        sys.exit(f"get_uv: no pinned uv for {' '.join(key)}: install uv {VERSION} or later, then run make again")
    index = urllib.request.Request(
        "https://pypi.org/simple/uv/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(index, timeout=60) as answer:  # noqa: S310 - as above
        files = json.load(answer)["files"]
    url = next(file["url"] for file in files if file["hashes"]["sha256"] == WHEELS[key])
    with urllib.request.urlopen(url, timeout=300) as answer:  # noqa: S310 - from the index; its content is checked below
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != WHEELS[key]:
        sys.exit(f"get_uv: the wheel of uv {VERSION} does not have the pinned checksum; nothing was installed")
    program = folder / "bin" / "uv"
    program.parent.mkdir(parents=True, exist_ok=True)
    part = program.with_suffix(".part")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        part.write_bytes(archive.read(f"uv-{VERSION}.data/scripts/uv"))
    part.chmod(0o755)
    part.replace(program)


def main(folder: Path) -> None:
    """Print the program's path on stdout, everything else on stderr."""
    if installed := shutil.which("uv"):
        print(installed)
        return
    program = folder / "bin" / "uv"
    if not program.exists():
        print(f"bringing uv {VERSION} into {folder}", file=sys.stderr)
        if not by_pip(folder):
            by_wheel(folder)
    print(program.absolute())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

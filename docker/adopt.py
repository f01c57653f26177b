"""Give volumes that root (or another user) wrote to the user of this installation, once, with everything stopped.

    python3 -I adopt.py [--qdrant VOLUME ...] [--data VOLUME ...]

Runs as root with no capability but CHOWN and DAC_READ_SEARCH. Qdrant's own files move into VOLUME/private/data, its
snapshots into VOLUME/private/snapshots; nothing is copied or deleted. Where it is interrupted, run it again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

UID = GID = 1000


def adopt_qdrant(volume: Path) -> None:
    """Lay out a volume as init.py does, with what is in it below `private`."""
    take(volume)
    private, data = volume / "private", volume / "private" / "data"
    for folder in (private, data):
        if not folder.exists():
            folder.mkdir()
        take(folder)
        folder.chmod(0o700)
    for path in sorted(volume.iterdir()):
        if path.name in {"private", "lost+found"}:
            continue
        target = private / "snapshots" if path.name == "snapshots" and path.is_dir() else data / path.name
        if target.exists():
            sys.exit(f"{path} can't be moved: there is a {target} already. Nothing else was moved; look at both.")
        take(path)
        path.rename(target)
        print(f"moved {path} to {target}")
    adopt(volume)


def take(path: Path) -> None:
    """Root without DAC_OVERRIDE may change only what it owns."""
    os.chown(path, 0, 0, follow_symlinks=False)


def adopt(volume: Path) -> None:
    """Everything in the volume to the installation's user, deepest first; the volume itself last, and for its owner alone."""
    number = 0
    for folder, folders, files in os.walk(volume, topdown=False):
        for name in (*files, *folders):
            path = os.path.join(folder, name)  # noqa: PTH118 - millions of segments' files
            status = os.lstat(path)
            if (status.st_uid, status.st_gid) != (UID, GID):
                os.chown(path, UID, GID, follow_symlinks=False)
                number += 1
    take(volume)
    volume.chmod(0o700)
    os.chown(volume, UID, GID)
    print(f"{volume}: {number} files and folders now belong to user {UID}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qdrant", type=Path, metavar="VOLUME", nargs="*", default=[])
    parser.add_argument("--data", type=Path, metavar="VOLUME", nargs="*", default=[])
    options = parser.parse_args()
    if os.getuid() != 0:
        sys.exit("Run this as root: docker compose --profile adopt run --rm adopt")
    for volume in options.qdrant:
        adopt_qdrant(volume)
    for volume in options.data:
        adopt(volume)


if __name__ == "__main__":
    main()

"""Giving back pages that opening a store touched and serving may never need.

The engine fills the page tables of every index file when it maps it, 4 MB for each index of an empty store. They are the page
cache's, clean or written back by the kernel: unmapping them loses nothing, and what a search needs comes back without the disk.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_MADV_DONTNEED = 4  # <asm-generic/mman-common.h>; of a shared file mapping it drops the mapping's pages, not the file's


def let_go_of_pages(folder: Path) -> None:
    """Unmap the pages of all files below `folder` that this process maps shared; nothing on other systems than Linux."""
    if sys.platform != "linux":
        return
    inside = f"{folder.resolve()}/"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines():
        place, mode, _, _, _, *name = line.split(maxsplit=5)
        if name and name[0].startswith(inside) and mode[3] == "s":
            start, end = (int(part, 16) for part in place.split("-"))
            # A failure costs memory only, and can't be anybody's to mend: the range was mapped a moment ago.
            libc.madvise(start, end - start, _MADV_DONTNEED)

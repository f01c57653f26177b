"""An image's files as `docker export` gives them, and the parts of ELF and .pyc headers that tests ask about."""

from __future__ import annotations

import posixpath
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import Image, docker

ELF_MACHINES = {"linux/amd64": 62, "linux/arm64": 183}
PT_LOAD = 1


@dataclass(frozen=True)
class Elf:
    """The header of a 64- or 32-bit little-endian ELF file."""

    path: str
    bits: int
    machine: int
    load_alignments: tuple[int, ...]


class FileSystem:
    """A tar file of everything in an image."""

    def __init__(self, image: Image, path: Path) -> None:
        self.image = image
        self._path = path
        self._tar = tarfile.open(path)  # noqa: SIM115 - lives as long as the session
        self.members = {f"/{member.name}": member for member in self._tar.getmembers()}

    @classmethod
    def export(cls, image: Image, path: Path) -> FileSystem:
        created = docker("create", "--pull", "never", "--platform", image.platform, image.name).strip()
        try:
            with path.open("wb") as file:
                subprocess.run(["docker", "export", created], stdout=file, check=True)
        finally:
            docker("rm", "--volumes", created)
        return cls(image, path)

    def close(self) -> None:
        self._tar.close()
        self._path.unlink()

    def read(self, path: str) -> bytes:
        """A file's content, through links, which an image may have to absolute paths."""
        while (member := self.members[path]).issym():
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
        file = self._tar.extractfile(self.members[path])
        assert file is not None, f"{path} is no file"
        return file.read()

    def files(self, suffix: str = "") -> Iterator[str]:
        return (path for path, member in self.members.items() if member.isfile() and path.endswith(suffix))

    def elf_files(self) -> Iterator[Elf]:
        """Every compiled file, wherever it lies and whatever it is called."""
        for path in self.files():
            if self.members[path].size < 64:
                continue
            file = self._tar.extractfile(self.members[path])
            assert file is not None
            if file.read(4) == b"\x7fELF":
                file.seek(0)
                yield _elf(path, file.read())


def _elf(path: str, data: bytes) -> Elf:
    bits = {1: 32, 2: 64}[data[4]]
    (machine,) = struct.unpack_from("<H", data, 18)
    if bits == 32:
        return Elf(path, bits, machine, ())
    (table,) = struct.unpack_from("<Q", data, 32)
    size, number = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, table + size * index) for index in range(number)]
    return Elf(path, bits, machine, tuple(header[7] for header in headers if header[0] == PT_LOAD))

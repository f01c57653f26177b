"""A secret in a file: one line, however it was written there."""

from __future__ import annotations

import codecs
from pathlib import Path

_ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
LARGEST_BYTES = 65_536


def read_secret(path: Path) -> str:
    """The secret without a byte order mark, line ends and blanks around it (editors and PowerShell's `>` add them).

    Raises ValueError, naming the file, where it can't be read, is empty, or holds more than one line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        encoding = next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8")
        secret = data.decode(encoding).strip()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"cannot read {path}: it is not text") from None
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"{path} is too large for a key")
    if not secret:
        raise ValueError(f"{path} is empty")
    if not secret.isprintable():
        raise ValueError(f"{path} holds more than one line, or control characters: a key is one line of text")
    return secret

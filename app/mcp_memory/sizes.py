"""Bytes as a person reads them: kB, MB, GB and TB are powers of 1000, as on every disk that is sold and in every message here;
KiB and MiB, powers of 1024, are written as such."""

from __future__ import annotations


def size(number: float) -> str:
    """`999 B`, `45.0 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"

"""A field that nobody knows is refused in words: which it is, and the one that was probably meant.

An ignored field makes a deletion reach further than what was asked, so every way in that changes something asks here.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

_SAME: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "limit n_results page_size count max_results top_k size",
        "tags tag",
        "before before_date end_date until to older_than",
        "after after_date start_date since newer_than",
        "time_expr time_filter when timeframe time_range",
        "memory_type type kind",
        "content text memory document",
        "hashes content_hash content_hashes hash ids id",
        "tag_match match_all operation all_tags",
        "store stores partition namespace collection",
        "similarity_threshold threshold min_score min_similarity",
        "dry_run preview simulate confirm",
    )
)
"""What other services, and other calls of this one, name the same thing."""
_CLOSE = 0.6


def nearest_field(name: str, known: Collection[str]) -> str | None:
    """The known field that `name` probably stands for, or None: by meaning first, then by spelling."""
    plain = _plain(name)
    for candidate in known:
        if _plain(candidate) == plain:
            return candidate
    for names in _SAME:
        if plain in names and (found := sorted(names.intersection(known))):
            return found[0]
    return next(iter(difflib.get_close_matches(plain, sorted(known), 1, _CLOSE)), None)


def unknown_field(name: str, known: Collection[str], *, kind: str = "field") -> str:
    """The sentence for a field that isn't known here."""
    nearest = nearest_field(name, known)
    if nearest is not None:
        hint = f"Did you mean {nearest!r}?"
    elif known:
        hint = f"Known here: {', '.join(sorted(known))}."
    else:
        hint = "None is taken here."
    return f"There is no {kind} {name[:80]!r} here, so nothing was done. {hint}"


def _plain(name: str) -> str:
    """beforeDate, Before-Date and before_date alike."""
    spaced = "".join(f"_{letter}" if letter.isupper() else letter for letter in name[:80])
    return spaced.lower().replace("-", "_").replace("__", "_").strip("_ ")

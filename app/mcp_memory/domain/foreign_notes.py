"""What is told about a record of another store that couldn't become a memory just as it was."""

from __future__ import annotations

from enum import StrEnum

IMPORTED_KEY = "_imported"
"""The metadata key under which a memory keeps what its source held and no field of ours has: original spellings, graph, ..."""


class Note(StrEnum):
    """What a memory couldn't keep as it was; its original form is under `_imported` wherever there was one."""

    TAGS_NORMALISED = "tags normalised, original spelling kept"
    TAGS_UNUSABLE = "tags that break a rule left out, original text kept"
    TYPE_NORMALISED = "memory type normalised, original spelling kept"
    TYPE_UNUSABLE = "memory type breaks a rule, original text kept"
    STORE_RENAMED = "store name breaks a rule, original name kept"
    METADATA_AS_TEXT = "metadata that JSON rules refuse kept as text"
    TEXT_REPAIRED = "text with invalid Unicode repaired, original bytes kept"
    TIME_REPAIRED = "time repaired, original value kept"
    TIME_MISSING = "time missing, filled in"
    TIME_DISAGREES = "ISO time disagrees with the number, number used and ISO form kept"
    HASH_KEPT = "hash can't be recomputed from the content, kept verbatim"
    HASH_UNUSABLE = "hash can't be used as a name, computed and the original kept"
    HASH_MISSING = "hash missing, computed"
    FIELDS_KEPT = "fields without a home kept in metadata"
    GRAPH_KEPT = "graph edges kept in metadata"
    NO_VECTOR = "no embedding in the source"
    VECTOR_UNUSABLE = "embedding unusable (zero, not finite, or of another size)"

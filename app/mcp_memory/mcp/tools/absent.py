"""The original's tools that aren't here: what an assistant is told that calls one."""

from __future__ import annotations

_GRAPH = "There is no graph of memories here: find related ones with memory_search."
_QUALITY = "Memories aren't rated here: keep a rating in the metadata with memory_update."
_CONSOLIDATION = "Nothing is consolidated here: memories stay as they were stored; memory_cleanup removes duplicates."
_DOCUMENTS = "Documents aren't read here: store their passages with memory_store, or use memory import."
_NOTES = "Mistake notes are memories here: use {} with the tag mistake."
_QUARANTINE = "Nothing is quarantined here: memory_list shows all memories."
_CONFLICTS = "Conflicts aren't recorded here: find both memories with memory_search and delete the wrong one."
_SESSION = "Store what matters of a session with memory_store, one fact a memory."

ABSENT: dict[str, str] = {
    "memory_graph": _GRAPH,
    "find_connected_memories": _GRAPH,
    "find_shortest_path": _GRAPH,
    "get_memory_subgraph": _GRAPH,
    "memory_explore": _GRAPH,
    "memory_detail": _GRAPH,
    "memory_quality": _QUALITY,
    "rate_memory": _QUALITY,
    "get_memory_quality": _QUALITY,
    "analyze_quality_distribution": _QUALITY,
    "memory_consolidate": _CONSOLIDATION,
    "consolidate_memories": _CONSOLIDATION,
    "consolidation_status": _CONSOLIDATION,
    "consolidation_recommendations": _CONSOLIDATION,
    "scheduler_status": _CONSOLIDATION,
    "trigger_consolidation": _CONSOLIDATION,
    "pause_consolidation": _CONSOLIDATION,
    "resume_consolidation": _CONSOLIDATION,
    "memory_distill": _CONSOLIDATION,
    "memory_ingest": _DOCUMENTS,
    "ingest_document": _DOCUMENTS,
    "ingest_directory": _DOCUMENTS,
    "memory_harvest": _DOCUMENTS,
    "mistake_note_add": _NOTES.format("memory_store"),
    "mistake_note_search": _NOTES.format("memory_search"),
    "mistake_note_update": _NOTES.format("memory_update"),
    "mistake_note_delete": _NOTES.format("memory_delete"),
    "get_quarantined_memories": _QUARANTINE,
    "unquarantine_memory": _QUARANTINE,
    "memory_conflicts": _CONFLICTS,
    "memory_resolve": _CONFLICTS,
    "memory_store_session": _SESSION,
    "commit_session_legacy": _SESSION,
    "get_bootstrap_profile": "There are no profiles here: ask memory_search.",
    "get_onboarding_guide": "There is no guide tool here: the server's instructions say how to use it.",
}

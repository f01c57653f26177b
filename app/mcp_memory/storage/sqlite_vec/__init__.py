"""SQLite with sqlite-vec: opens the original service's databases, for the way back and for comparison.

Here: the original's tables, an index of ours beside them, search over both. Not here: reading databases without changing them
(migration).
"""

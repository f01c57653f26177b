"""What a memory is, and the rules that hold for every one of them, whichever way it came in.

Here: Memory, content hash, tags, time ranges, search queries, checks, errors. Not here: I/O, frameworks, settings.
"""

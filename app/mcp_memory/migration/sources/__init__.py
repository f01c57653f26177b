"""Stores of other services, read without changing them: databases and exports of the original service, qdrant-client folders.

Here: recognising a source, reading it in bounded memory, turning its rows into memories. Not here: where they go.
"""

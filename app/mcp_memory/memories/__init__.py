"""The use cases that REST, MCP and the CLI all call: store, search, update, forget, list, statistics.

Here raw requests become checked domain values. Not here: HTTP, MCP or terminal formats, and any storage's own query language.
"""

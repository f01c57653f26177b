"""The `memory` command: one file a group of commands, thin clients of the owner of the store.

Here: arguments, output, exit codes, and the stdio bridge of MCP. Not here: anything a REST or MCP client could also want.
"""

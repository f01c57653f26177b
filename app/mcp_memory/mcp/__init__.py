"""MCP tools and resources over the use cases, served by the official SDK as streamable HTTP.

Only `app.py` and what it alone imports load the SDK (about a second): everything else imports `handshake.py` at most.
"""

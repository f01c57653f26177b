"""REST over HTTP: the FastAPI app, its middleware and routers, and the gunicorn that serves it.

Here a request is parsed, a use case of `memories/` is called, and the answer is written. Not here: any rule about memories.
"""

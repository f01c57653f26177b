"""Pure ASGI middleware, outermost first: observe, hosts, (CORS), authentication, admission, body_limit."""

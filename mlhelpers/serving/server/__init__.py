"""The prediction server: HTTP in front of the models of the registry.

| file | job |
|---|---|
| `run.py` | binds an address and runs the server in this process |
| `process.py` | starts a server as a process of its own |
| `app.py` | the paths, the bodies, the errors (ASGI) |
| `wire.py` | requests and answers, to and from JSON |
| `catalogue.py` | which version answers; loaded when it is first asked for |
"""

__all__: list[str] = []

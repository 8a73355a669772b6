"""The prediction server: HTTP in front of the models of the registry.

| file | job |
|---|---|
| `run.py` | binds an address and runs the server in this process |
| `process.py` | starts a server as a process of its own |
| `container.py`, `Dockerfile` | the same program as a serving container of Vertex AI |
| `app.py` | the application (ASGI): who is asked for what, and what becomes of an error |
| `routes.py` | the three families of paths, read |
| `admission.py` | the token, how much may wait, for how long |
| `bodies.py` | bodies read within limits; gzip |
| `wire.py` | requests and answers, to and from JSON |
| `answers.py` | state, metadata and errors in each family's form |
| `refusals.py` | a request refused, with status and words |
| `catalogue.py` | which version answers; traffic split over versions |
| `loading.py` | models in memory: loaded when first asked for, given back when their version goes |
| `batching.py`, `pace.py` | requests joined into one call of a model, and how many |
| `metrics.py` | counts for Prometheus |
| `openapi.py` | every path in OpenAPI's form |
| `pages.py`, `pages/` | the pages `/`, `/docs`, `/forms/babyweight`; a new one is a file there and a line |
| `forms.py` | the form for babyweight: what it offers, and its items as an instance |
| `slow_heads.py` | closes connections that never come to their point |
"""

__all__: list[str] = []

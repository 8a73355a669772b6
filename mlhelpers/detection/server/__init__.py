"""The web app: a picture is sent, the objects in it are shown, and programs ask the same over JSON.

| file | job |
|---|---|
| `run.py` | binds an address and runs the app in this process |
| `process.py` | starts it as a process of its own, for notebooks |
| `app.py` | the paths, and what becomes of an error |
| `access.py` | the password |
| `questions.py` | what a request asks: model, threshold, limit |
| `uploads.py` | the picture in a request's body, plain or as a form sends it |
| `capacity.py` | how much may be in the house |
| `choice.py` | the models on offer, each loaded once |
| `shelf.py` | the detectors of this machine, as they are offered |
| `pages/` | the page, its script and its style; it works offline and loads nothing else |
| `unit.py`, `mlhelpers-detect.service` | the app as a service of systemd |
"""

__all__: list[str] = []

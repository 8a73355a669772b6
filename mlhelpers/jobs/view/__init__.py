"""How a job shows itself in a notebook.

| file | what |
|---|---|
| `panel.py` | a job as it is now, as HTML: pure, data in and text out |
| `live.py` | the panel that moves while the job runs, with its Cancel button |

May import `errors` and `jobs`; ipywidgets where it is installed, and everything works without it but the button.
"""

from __future__ import annotations

from mlhelpers.jobs.view.live import show
from mlhelpers.jobs.view.panel import Snapshot, panel_html, take_snapshot

__all__ = ["Snapshot", "panel_html", "show", "take_snapshot"]

"""How a job shows itself in a notebook, and what is made of jobs, such as a study.

| file | what |
|---|---|
| `panel.py` | a job as it is now, as HTML: data in and text out |
| `subject.py` | what a panel needs of whatever it shows, and a job as such |
| `live.py` | the panel that moves while its subject runs, with its Cancel button |

May import `errors` and `jobs`; ipywidgets where it is installed, and everything works without it but the button.
"""

from __future__ import annotations

from mlhelpers.jobs.view.live import show
from mlhelpers.jobs.view.panel import Snapshot, panel_html, take_snapshot
from mlhelpers.jobs.view.subject import JobSubject, Piece, Subject, subject_html

__all__ = ["JobSubject", "Piece", "Snapshot", "Subject", "panel_html", "show", "subject_html", "take_snapshot"]

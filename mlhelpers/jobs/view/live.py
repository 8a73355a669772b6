"""The panel of a job, or of what is made of jobs, that moves while it runs, with its Cancel button.

A cell gets two outputs. The first is plain HTML: it is in the stored notebook, outlives the kernel, and shows wherever
there are no widgets. The second is a widget with the same content and the button; where it is really drawn, a line of
style inside it hides the first. Thus nobody has to guess what the page can do.

One thread, for all panels, looks at their subjects twice a second. It ends with the last one that is shown.
"""

from __future__ import annotations

import html
import secrets
import threading
import time
from dataclasses import replace
from typing import Any

from mlhelpers.jobs.base import JobState
from mlhelpers.jobs.view.panel import STYLE, log_html, state_html
from mlhelpers.jobs.view.subject import Subject, subject_html

__all__ = ["LivePanel", "show"]

_EVERY_S = 0.5
_STORE_EVERY_S = 2.0  # how often the plain output is brought up to date while the widget shows the same
_FAREWELL_S = 3.0  # how long the widget stays after the end, for whoever listens to the page
_PATIENCE_S = 60.0  # how long a job that cannot be read is looked for
_WIDGET = "application/vnd.jupyter.widget-view+json"

_views: dict[tuple[str, str], LivePanel] = {}  # a job is shown in one place, the newest; and so is a study
_lock = threading.Lock()
_thread: threading.Thread | None = None


def show(subject: Subject) -> LivePanel | None:
    """Show something in the cell that runs, live until it is over; return at once.

    A panel that shows the same elsewhere stops there.

    Args:
        subject: The job, or what is made of jobs.

    Returns:
        The panel; None where this is no notebook, and nothing was shown.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    with _lock:
        before = _views.pop((subject.what, subject.handle), None)
    if before is not None:
        before.close()
    view = LivePanel(subject)
    view.display()
    if not view.is_closed:
        _watch(view)
    return view


class LivePanel:
    """One panel. Made and displayed by `show`.

    Args:
        subject: What it shows.
    """

    def __init__(self, subject: Subject) -> None:
        self.is_closed = False
        self._subject = subject
        self._lock = threading.RLock()  # the thread and the button both come in
        self._mark = f"mlh-job-{secrets.token_hex(4)}"
        self._box: Any = None
        self._is_updating = False
        self._cancel_trouble = ""
        self._shown = subject.look(None)
        self._stored_at = time.monotonic()
        self._ends_at = float("inf")

    @property
    def key(self) -> tuple[str, str]:
        """What it shows, and its handle."""
        return self._subject.what, self._subject.handle

    def display(self) -> None:
        """Put the panel into the cell that runs."""
        from IPython import display

        untyped: Any = display.DisplayHandle  # IPython has types, and this class has none
        self._plain, self._live = untyped(), untyped()
        self._plain.display(self._bundle(), raw=True)
        if self._shown.is_over:
            self.is_closed = True
        elif self._build():
            self._update()
            model = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
            self._live.display({"text/plain": "", _WIDGET: model}, raw=True)

    def refresh(self) -> None:
        """Look at the subject and bring the panel up to date; close it where there will be nothing more to see."""
        with self._lock:
            if self.is_closed:
                return
            before, now = self._shown, time.monotonic()
            self._look()
            if self._shown.state != before.state or now - self._stored_at >= _STORE_EVERY_S:
                self._store()
            if self._box is not None:
                self._update()
            if self._shown.trouble:
                self._ends_at = min(self._ends_at, now + _PATIENCE_S)
            elif self._shown.is_over:
                self._ends_at = min(self._ends_at, now + (_FAREWELL_S if self._box is not None else 0))
            else:
                self._ends_at = float("inf")
            if now >= self._ends_at:
                self.close()

    def close(self, trouble: str = "") -> None:
        """Stop: what is shown now stays in the cell as plain HTML, without the button.

        Args:
            trouble: Why, where something went wrong.
        """
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
            self._look()
            self._shown = replace(self._shown, trouble=trouble or self._shown.trouble)
            self._store()
            if self._box is not None:
                self._live.update({"text/plain": ""}, raw=True)
                for widget in (*self._head.children, *self._pieces, *self._box.children, self._box):
                    widget.close()

    def cancel(self) -> None:
        """Ask the subject to end, once; what goes wrong is shown in the panel, and then it may be asked again."""
        with self._lock:
            if self._button.disabled:  # the page had sent a second click already
                return
            self._button.disabled = True
            self._cancel_trouble = ""
            try:
                self._subject.cancel()
            except Exception as error:  # nobody would see it raised in a button's callback
                self._cancel_trouble = f"It could not be cancelled: {error}"
            self.refresh()

    def _look(self) -> None:
        """Take a new snapshot; where that is not to be had, keep the last one and say why."""
        snapshot = self._subject.look(None if self._box is None else self._choice.value)
        self._shown = replace(self._shown, trouble=snapshot.trouble) if snapshot.trouble else snapshot

    def _store(self) -> None:
        """Bring the plain output up to date."""
        self._plain.update(self._bundle(), raw=True)
        self._stored_at = time.monotonic()

    def _bundle(self) -> dict[str, str]:
        panel = f'<div class="{self._mark}">{subject_html(self._subject, self._shown)}</div>'
        return {"text/html": panel, "text/plain": self._subject.text()}

    def _build(self) -> bool:
        """Make the widgets; tell whether there are any."""
        try:
            import ipywidgets
        except ImportError:
            return False
        self._state, self._time, self._log = (ipywidgets.HTML() for _ in range(3))
        tooltip = f"End the {self._subject.what} {self._subject.name}, with all its processes"
        self._button = ipywidgets.Button(description="Cancel", icon="stop", tooltip=tooltip)
        self._button.on_click(lambda _: self.cancel())
        self._choice = ipywidgets.Dropdown(options=[], description="Log of", layout={"width": "300px"})
        self._choice.observe(self._chosen, "value")
        self._choice.layout.display = None if self._subject.has_choice else "none"
        style = ipywidgets.HTML(f"{STYLE}<style>.{self._mark} {{ display: none; }}</style>")
        self._head = ipywidgets.HBox([self._state, self._time, self._button], layout={"align_items": "center"})
        titles = [piece.title for piece in self._subject.pieces(self._shown)]
        self._pieces = [ipywidgets.HTML() for _ in titles]
        # folded by a widget: a <details> would close whenever its text changes
        self._middle = [
            ipywidgets.Accordion(children=[piece], titles=(title,), selected_index=None) if title else piece
            for piece, title in zip(self._pieces, titles, strict=True)
        ]
        self._box = ipywidgets.VBox([style, self._head, *self._middle, self._choice, self._log])
        self._box.add_class("mlh-job")
        return True

    def _chosen(self, _: object) -> None:
        if not self._is_updating:
            self.refresh()

    def _update(self) -> None:
        """Write the snapshot into the widgets; ipywidgets sends only what has changed."""
        shown = self._shown
        self._state.value = state_html(shown)  # alone in its widget, so that only a change of state is spoken
        self._time.value = self._subject.time(shown)
        for widget, place, piece in zip(self._pieces, self._middle, self._subject.pieces(shown), strict=True):
            widget.value = piece.html
            place.layout.display = None if piece.html else "none"
        trouble = html.escape(self._cancel_trouble)
        note = f'<div class="mlh-job-trouble" role="alert">{trouble}</div>' if trouble else ""
        self._log.value = note + log_html(shown, caption=False)
        self._button.disabled = shown.is_over or shown.state is JobState.CANCELLING
        if tuple(shown.tasks) != tuple(self._choice.options):
            self._is_updating = True
            try:
                self._choice.options = list(shown.tasks)
                self._choice.value = shown.task or None
            finally:
                self._is_updating = False


def _watch(view: LivePanel) -> None:
    """Have the one thread look after a panel; start the thread where it does not run."""
    global _thread
    with _lock:
        _views[view.key] = view
        if _thread is None:
            _thread = threading.Thread(target=_look_after_all, name="mlhelpers-job-views", daemon=True)
            _thread.start()


def _look_after_all() -> None:
    global _thread
    while True:
        time.sleep(_EVERY_S)
        with _lock:
            for key in [key for key, view in _views.items() if view.is_closed]:
                del _views[key]
            if not _views:
                _thread = None
                return
            views = list(_views.values())
        for view in views:
            try:
                view.refresh()
            except Exception as error:  # one panel's trouble is shown there, and the others go on
                _close_with(view, error)


def _close_with(view: LivePanel, error: Exception) -> None:
    try:
        view.close(f"This panel stopped: {type(error).__name__}: {error}")
    except Exception:
        view.is_closed = True  # the page cannot even be told

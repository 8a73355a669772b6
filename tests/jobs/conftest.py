"""What every test of jobs starts from."""

from __future__ import annotations

from running_jobs import child_environment, no_process_is_left, submit, until, write_trainer

__all__ = ["child_environment", "no_process_is_left", "submit", "until", "write_trainer"]

"""`--backend` of the commands about models: where they are kept and answer."""

from __future__ import annotations

import click

__all__ = ["backend_option"]

backend_option = click.option(
    "--backend", metavar="local|vertex", help="Where: this machine or Vertex AI.  [default: the setting, or local]"
)

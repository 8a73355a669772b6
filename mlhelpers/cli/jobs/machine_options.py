"""The options that say which machines a job has, and those that only the cloud heeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["ROLES", "cloud_options", "machine_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])
# the flags' word for a role -> field of a spec
ROLES = {
    "master": "master",
    "worker": "workers",
    "parameter-server": "parameter_servers",
    "evaluator": "evaluators",
}


def machine_options(command: _Command) -> _Command:
    """Add the options that say which machines a job of the tier CUSTOM has."""
    for role in reversed(ROLES):
        who = role.replace("-", " ")
        count = ["--worker-count", "--worker-server-count"] if role == "worker" else [f"--{role}-count"]
        name = role.replace("-", "_")
        options = [
            click.option(f"--{role}-machine-type", metavar="TYPE", help=f"CUSTOM: the {who}'s, as n1-standard-4."),
            click.option(f"--{role}-accelerator", metavar="type=T,count=N", help=f"CUSTOM: each {who}'s accelerator."),
            click.option(f"--{role}-image-uri", metavar="IMAGE", help=f"CUSTOM: the {who}'s container, in the cloud."),
        ]
        if role != "master":
            help_text = f"CUSTOM: how many {who}s."
            options.insert(1, click.option(*count, f"{name}_count", type=click.IntRange(min=0), help=help_text))
        for option in reversed(options):
            command = option(command)
    return command


def cloud_options(command: _Command) -> _Command:
    """Add the options that only the cloud heeds; they are noted in the job's description."""
    for flag, metavar, text in (
        ("--region", "REGION", "Where in the cloud."),
        ("--staging-bucket", "gs://BUCKET", "Where the cloud gets the package from."),
        ("--service-account", "ACCOUNT", "Who the job is in the cloud."),
        ("--kms-key", "KEY", "What the cloud encrypts with."),
        ("--network", "NETWORK", "Which network the machines join."),
    ):
        command = click.option(flag, metavar=metavar, help=f"{text} Noted; without effect on this machine.")(command)
    text = "Cheaper machines, which the cloud may take back. Noted; without effect on this machine."
    command = click.option("--spot", is_flag=True, default=None, help=text)(command)
    text = "A shell into the machines. Noted; without effect on this machine."
    return click.option("--enable-web-access", is_flag=True, default=None, help=text)(command)

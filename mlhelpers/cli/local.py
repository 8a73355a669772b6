"""`mlhelpers local …`: what runs in the foreground, on this machine."""

from __future__ import annotations

import sys

import click

from mlhelpers.cli.jobs import TrainerCommand

__all__ = ["local"]


@click.group()
def local() -> None:
    """Run a trainer in the foreground, on this machine.

    \b
    Example:
      mlhelpers local train --module-name mlhelpers.trainers.mnist -- --help
    """


@local.command(cls=TrainerCommand)
@click.option("--module-name", required=True, help="The trainer's module, for instance trainer.task.")
@click.option("--package-path", help="Folder of your own package; the trainer runs in the folder that holds it.")
@click.option("--job-dir", help="Folder or gs:// address for results; handed on as the last argument.")
@click.argument("user_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- USER_ARGS...]")
def train(module_name: str, package_path: str | None, job_dir: str | None, user_args: tuple[str, ...]) -> None:
    """Run a trainer here and wait for it; what follows -- goes to the trainer.

    The exit code is the trainer's. Ctrl-C ends the trainer and all it started.

    \b
    Example:
      mlhelpers local train --module-name trainer.task --package-path trainer --job-dir out -- --train_steps 200
    """
    from mlhelpers.jobs.local.foreground import run_foreground
    from mlhelpers.jobs.spec import JobSpec

    spec = JobSpec("local", module_name, user_args, package_path=package_path, job_dir=job_dir)
    sys.exit(run_foreground(spec))

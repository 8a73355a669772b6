"""`mlhelpers local …`: what runs in the foreground, on this machine."""

from __future__ import annotations

import sys
from typing import Any

import click

from mlhelpers.cli.completion import PLACE, complete_files
from mlhelpers.cli.output import format_option
from mlhelpers.cli.predict import instance_options, predict_with, read_given
from mlhelpers.cli.trainer_command import TrainerCommand
from mlhelpers.errors import UsageError

__all__ = ["local"]

# role in TF_CONFIG's words -> how many there are with --distributed where nothing is said
_COUNTS = {"ps": 2, "worker": 2, "evaluator": 0}
_LAST_PORT = 65535


@click.group()
def local() -> None:
    """Train or predict in the foreground, on this machine.

    \b
    Example:
      mlhelpers local train --module-name mlhelpers.trainers.mnist -- --help
    """


@local.command(cls=TrainerCommand)
@click.option("--module-name", required=True, help="The trainer's module, for instance trainer.task.")
@click.option(
    "--package-path",
    type=PLACE,
    metavar="FOLDER",
    help="Folder of your own package; the trainer runs in the folder that holds it.",
)
@click.option(
    "--job-dir",
    type=PLACE,
    metavar="FOLDER",
    help="Folder or gs:// address for results; handed on as the last argument.",
)
@click.option("--distributed", is_flag=True, help="Start a cluster: a chief, and the replicas below, a process each.")
@click.option("--parameter-server-count", "ps", type=click.IntRange(0), help="With --distributed.  [default: 2]")
@click.option("--worker-count", "worker", type=click.IntRange(0), help="With --distributed.  [default: 2]")
@click.option("--evaluator-count", "evaluator", type=click.IntRange(0), help="With --distributed.  [default: 0]")
@click.option(
    "--start-port",
    type=click.IntRange(1024, _LAST_PORT),
    help="The first of the cluster's ports, one for each replica.  [default: 27182]",
)
@click.argument(
    "user_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- USER_ARGS...]", shell_complete=complete_files
)
def train(
    module_name: str,
    package_path: str | None,
    job_dir: str | None,
    distributed: bool,
    start_port: int | None,
    user_args: tuple[str, ...],
    **given: int | None,
) -> None:
    """Run a trainer here and wait for it; what follows -- goes to the trainer.

    The exit code is the trainer's. Ctrl-C ends the trainer and all it started.

    \b
    Examples:
      mlhelpers local train --module-name trainer.task --package-path trainer --job-dir out -- --train_steps 200
      mlhelpers local train --module-name mlhelpers.trainers.mnist --distributed --worker-count 1 \\
          --parameter-server-count 0 -- --data_dir data/runs/mnist --output_dir data/runs/two
    """
    from mlhelpers.jobs.local.foreground import START_PORT, run_foreground
    from mlhelpers.jobs.spec import JobSpec

    counts = None
    first_port = START_PORT if start_port is None else start_port
    if distributed:
        asked = {role: default if given[role] is None else int(given[role] or 0) for role, default in _COUNTS.items()}
        counts = {"chief": 1} | {role: count for role, count in asked.items() if count}
        _check_ports(first_port, sum(counts.values()))
    elif start_port is not None or any(count is not None for count in given.values()):
        click.echo("Counts and --start-port are for --distributed; without it one process trains.", err=True)
    spec = JobSpec("local", module_name, user_args, package_path=package_path, job_dir=job_dir)
    sys.exit(run_foreground(spec, counts, first_port))


def _check_ports(first: int, count: int) -> None:
    if first + count - 1 > _LAST_PORT:
        raise UsageError(
            f"--start-port {first} leaves too few ports: the cluster needs {count} in a row, and the last one there is "
            f"is {_LAST_PORT}. Begin at {_LAST_PORT - count + 1} or below."
        )


@local.command()
@click.option(
    "--model-dir", required=True, type=PLACE, metavar="FOLDER", help="The folder that a trainer exported, or gs://…."
)
@instance_options
@click.option(
    "--framework",
    type=click.Choice(["tensorflow", "scikit-learn", "xgboost"], case_sensitive=False),
    help="What the model was made with; refused where the files say another.  [default: what the files say]",
)
@click.option("--trust-pickle", is_flag=True, help="Open a pickle or joblib file; it runs whatever its maker put in.")
@format_option()
def predict(model_dir: str, framework: str | None, trust_pickle: bool, output_format: str, **given: Any) -> None:
    """Predict with an exported model in this process, without a model's name or a server.

    The output is that of `mlhelpers predict`: objects as a table with sorted columns, anything else as JSON.

    \b
    Example:
      mlhelpers data request mnist -o request.json
      mlhelpers local predict --model-dir output/export/Servo --json-instances request.json
    """
    from mlhelpers import serving
    from mlhelpers.serving.registry import exports, resources

    asked = read_given(**given)
    folder = exports.find_export(model_dir)
    if framework is not None:
        resources.check_framework(framework, folder)
    predict_with(serving.load(folder, trust_pickle=trust_pickle), asked, output_format)

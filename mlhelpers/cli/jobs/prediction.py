"""`mlhelpers jobs submit prediction`: a model over files of any size."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.jobs.bill import agree
from mlhelpers.cli.jobs.submission import finish_submission
from mlhelpers.cli.labels import parse_labels
from mlhelpers.cli.output import echo_resource, format_option
from mlhelpers.errors import UsageError

__all__ = ["prediction"]

_FORMATS = ("text", "tf-record", "tf-record-gzip")


def _complete_formats(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    spelled = [name.upper().replace("-", "_") if incomplete[:1].isupper() else name for name in _FORMATS]
    return [CompletionItem(name) for name in spelled if name.startswith(incomplete)]


def _features(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    if not all(name and equals and feature for name, equals, feature in pairs):
        raise UsageError(f"--features {text!r} is refused. Write INPUT=FEATURE,…, for instance pixels=image_raw.")
    return {name.strip(): feature.strip() for name, _, feature in pairs}


@click.command()
@click.argument("job")
@click.option("--model-dir", type=PLACE, metavar="FOLDER|gs://…", help="An export folder; or --model.")
@click.option("--model", metavar="MODEL", help="A model of the store; or --model-dir.")
@click.option("--version", metavar="VERSION", help="Its version.  [default: the default one]")
@click.option(
    "--input-paths",
    type=PLACE,
    required=True,
    metavar="P,…",
    help="Files; a name that ends with * is all that begin so.",
)
@click.option("--output-path", type=PLACE, required=True, metavar="FOLDER|gs://…", help="Where the answers go.")
@click.option(
    "--data-format",
    required=True,
    metavar="FORMAT",
    shell_complete=_complete_formats,
    help="text (an instance a line), tf-record or tf-record-gzip.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Instances at once.")
@click.option(
    "--max-worker-count",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Processes at most; never more than there are cores.",
)
@click.option("--signature-name", metavar="NAME", help="The signature to take.  [default: by the first instance]")
@click.option(
    "--features", metavar="INPUT=FEATURE,…", help="Records: where an input has another name than its feature."
)
@click.option("--labels", metavar="K=V,…", help="Your own marks.")
@click.option("--region", metavar="REGION", help="Where in the cloud. Noted; without effect on this machine.")
@click.option("--machine-type", metavar="TYPE", help="What runs it in the cloud.  [default: n1-standard-2]")
@click.option("--runtime-version", metavar="N.N", help="Noted; what is installed here runs instead.")
@click.option("--backend", help="Where to run.  [default: local]")
@click.option("--async", "is_async", is_flag=True, help="Return at once: so it is anyhow.")
@click.option("--stream-logs", is_flag=True, help="Follow the log; exit with 1 unless the job succeeds.")
@click.option("--dry-run", is_flag=True, help="Print the complete request, and start nothing.")
@click.option("--yes", "-y", is_flag=True, help="Start what costs money without asking.")
@format_option(default="yaml")
@click.pass_context
def prediction(
    ctx: click.Context,
    /,
    job: str,
    backend: str | None,
    is_async: bool,
    stream_logs: bool,
    dry_run: bool,
    yes: bool,
    output_format: str,
    **given: Any,
) -> None:
    """Submit a batch prediction: every line or record of some files through a model.

    The answers are files prediction.results-NNNNN-of-NNNNN in the output path, a JSON object a line, in the order of
    the input; an entry "key" of an instance comes out with its prediction. What could not be predicted is told in
    prediction.errors_stats-NNNNN-of-NNNNN, with its file and line.

    Of text every line is an instance, any JSON value. A record is what a model takes that takes one text or bytes; for
    any other it is a tensorflow.Example, of which each input takes the feature of its name, or a single input the one
    feature whose raw bytes fit.

    A prediction that was cancelled or killed goes on where it was when the same is submitted again under another name.

    \b
    Examples:
      mlhelpers jobs submit prediction births --model babyweight --version v1 --data-format text \\
          --input-paths gs://my-bucket/births/part* --output-path gs://my-bucket/predicted
      mlhelpers jobs submit prediction digits --model-dir output/export/Servo --data-format tf-record \\
          --input-paths data/test.tfrecords --output-path data/predicted --stream-logs
    """
    from mlhelpers.serving import batch

    if is_async and stream_logs:
        raise UsageError("--async returns at once and --stream-logs waits for the end: give one of the two.")
    place = batch.place(backend)
    plan = place.plan(
        batch.BatchSpec(
            name=job,
            input_paths=[path for path in given["input_paths"].split(",") if path],
            output_path=given["output_path"],
            model=given["model"],
            version=given["version"],
            model_dir=given["model_dir"],
            data_format=given["data_format"],
            batch_size=given["batch_size"],
            max_workers=given["max_worker_count"],
            signature_name=given["signature_name"],
            features=_features(given["features"] or ""),
            region=given["region"],
            runtime_version=given["runtime_version"],
            labels=parse_labels(given["labels"] or ""),
            machine_type=given["machine_type"],
        )
    )
    if dry_run:
        echo_resource(dict(plan.request), output_format)
        return
    agree(place.bill(plan), plan.notes, yes)
    notes = [*plan.notes, *place.submit(plan)]
    finish_submission(ctx, place.job(job), plan, notes)

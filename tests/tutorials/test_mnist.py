"""The commands of the original MNIST tutorial."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mlhelpers.datasets import mnist
from mlhelpers.datasets.records import write_records


def few_digits(folder: Path) -> None:
    """Write the tutorial's record files, with few of the real digits."""
    split = mnist.load()
    for part, n in (("train", 600), ("validation", 100), ("test", 200)):
        digits = getattr(split, part)
        write_records(folder / f"{part}.tfrecords", mnist._examples(digits["images"][:n], digits["labels"][:n]))


@pytest.mark.slow
def test_the_commands_of_the_mnist_tutorial(run: Callable[[str], str], tmp_path: Path) -> None:
    few_digits(tmp_path / "data")
    printed = run(f"""
        DATA={tmp_path / "data"}
        PROJECT_ID=my-project
        cd mnist
        gsutil mb -c regional -l us-central1 gs://${{PROJECT_ID}}-ml
        gsutil cp $DATA/train.tfrecords gs://${{PROJECT_ID}}-ml/data/
        gsutil cp $DATA/validation.tfrecords gs://${{PROJECT_ID}}-ml/data/
        gsutil cp $DATA/test.tfrecords gs://${{PROJECT_ID}}-ml/data/

        JOB_NAME="${{USER:-me}}_$(date +%Y%m%d_%H%M%S)"
        gcloud ml-engine jobs submit training ${{JOB_NAME}} \\
            --package-path trainer \\
            --module-name trainer.task \\
            --staging-bucket gs://${{PROJECT_ID}}-ml \\
            --job-dir gs://${{PROJECT_ID}}-ml/${{JOB_NAME}} \\
            --runtime-version 1.2 \\
            --region us-central1 \\
            --config config/config.yaml \\
            -- \\
            --data_dir gs://${{PROJECT_ID}}-ml/data \\
            --output_dir gs://${{PROJECT_ID}}-ml/${{JOB_NAME}} \\
            --train_steps 20
        gcloud ml-engine jobs stream-logs ${{JOB_NAME}}
        gcloud ml-engine jobs describe ${{JOB_NAME}}

        gcloud ml-engine models create MNIST --regions=us-central1
        ORIGIN=$(gsutil ls gs://${{PROJECT_ID}}-ml/${{JOB_NAME}}/export/Servo | tail -1)
        gcloud ml-engine versions create v1 --model MNIST --origin ${{ORIGIN}} --runtime-version 1.2
        gcloud ml-engine versions set-default v1 --model MNIST
        mlhelpers data request mnist -o request.json
        gcloud ml-engine predict --model MNIST --json-instances request.json
    """)

    assert "state: QUEUED" in printed
    assert "state: SUCCEEDED" in printed
    assert "step 20/20  loss " in printed
    header, *rows = printed[printed.index("CLASSES") :].strip().splitlines()
    assert header.split() == ["CLASSES", "PROBABILITIES"]
    assert len(rows) == 10
    assert all(re.match(r"\d +\[[\d., e-]+\]$", row) for row in rows)

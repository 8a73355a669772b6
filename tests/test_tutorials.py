"""The original tutorials' commands, in their order, with another word for the tool, smaller numbers and other paths.

What made the data there (a script, BigQuery, TCIA) is `mlhelpers data` here; the rest is run as it is written there, by
bash, with `gcloud ml-engine` and `gcloud ai-platform` read as `mlhelpers` and `gsutil` as `mlhelpers storage`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlhelpers.datasets import mnist
from mlhelpers.datasets.records import write_records

_PACKAGES = Path(__file__).resolve().parent.parent / "notebooks" / "packages"
_TOOL = {"gcloud ml-engine": "mlhelpers", "gcloud ai-platform": "mlhelpers", "gsutil": "mlhelpers storage"}
_START = """
set -euo pipefail
mlhelpers() { "$PYTHON" -m mlhelpers.cli "$@"; }
python() { "$PYTHON" "$@"; }
"""

Run = Callable[[str], str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Give a function that runs commands in a copy of notebooks/packages and returns what they printed."""
    folder = tmp_path / "packages"
    shutil.copytree(_PACKAGES, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def run_commands(commands: str) -> str:
        for theirs, ours in _TOOL.items():
            commands = re.sub(rf"\b{theirs}\b", ours, commands)
        done = subprocess.run(
            ["bash", "-c", _START + commands],
            cwd=folder,
            env=os.environ | {"PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
        return done.stdout

    return run_commands


def few_digits(folder: Path) -> None:
    """Write the tutorial's record files, with few of the real digits."""
    split = mnist.load()
    for part, n in (("train", 600), ("validation", 100), ("test", 200)):
        digits = getattr(split, part)
        write_records(folder / f"{part}.tfrecords", mnist._examples(digits["images"][:n], digits["labels"][:n]))


@pytest.mark.slow
def test_the_commands_of_the_mnist_tutorial(run: Run, tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_the_commands_of_the_cbis_ddsm_tutorial(run: Run, home: Path) -> None:
    printed = run("""
        mlhelpers data prepare cbis_ddsm --output-dir gs://cbis-ddsm-colab
        gsutil mb gs://cbis-ddsm-artifacts gs://cbis-ddsm-model

        gcloud ml-engine jobs submit training gpu_training \\
            --runtime-version=1.8 \\
            --scale-tier=BASIC_GPU \\
            --module-name="trainer.gpu_model" \\
            --package-path=cbis_ddsm/trainer \\
            --staging-bucket="gs://cbis-ddsm-artifacts" \\
            --region=us-central1 \\
            -- \\
            --data_bucket="cbis-ddsm-colab" \\
            --training_data_dir="small_train" \\
            --eval_data_dir="small_test" \\
            --image_width=95 \\
            --image_height=128 \\
            --image_channel=1 \\
            --model_dir="gs://cbis-ddsm-model/$(date +%s)" \\
            --batch_size=8 \\
            --training_steps=2 \\
            --eval_steps=1 \\
            --category_count=4
        gcloud ml-engine jobs stream-logs gpu_training
        gcloud ml-engine jobs describe gpu_training
        gcloud ml-engine jobs cancel gpu_training

        gcloud ml-engine jobs submit training tpu_training \\
            --runtime-version=1.8 \\
            --scale-tier=BASIC_TPU \\
            --module-name="trainer.tpu_model" \\
            --package-path=cbis_ddsm/trainer \\
            --staging-bucket="gs://cbis-ddsm-artifacts" \\
            --region=us-central1 \\
            -- \\
            --training_data="gs://cbis-ddsm-colab/cache/ddsm_train.tfrecords" \\
            --eval_data="gs://cbis-ddsm-colab/cache/ddsm_eval.tfrecords" \\
            --image_width=95 \\
            --image_height=128 \\
            --image_channel=1 \\
            --model_dir="gs://cbis-ddsm-model/tpu_$(date +%s)" \\
            --batch_size=8 \\
            --training_steps=2 \\
            --eval_steps=1 \\
            --category_count=4
        gcloud ml-engine jobs stream-logs tpu_training
        gcloud ml-engine jobs describe tpu_training
    """)

    assert printed.count("state: SUCCEEDED") == 2
    assert printed.count("step 2/2  loss ") == 2
    runs = sorted((home / "buckets" / "cbis-ddsm-model").glob("*/hyperparameters.json"))
    rates = [json.loads(path.read_text())["learning_rate"] for path in runs]
    assert rates == [0.001, 0.05]


@pytest.mark.slow
def test_the_commands_of_the_iris_tutorial(run: Run) -> None:
    printed = run("""
        cd iris
        mlhelpers data prepare iris --output-dir data
        mlhelpers data request iris -n 1 -o data/test.json
        TRAIN_DATA=$(pwd)/data/iris_training.csv
        EVAL_DATA=$(pwd)/data/iris_test.csv
        MODEL_DIR=output
        rm -rf $MODEL_DIR
        gcloud ml-engine local train \\
            --module-name trainer.task \\
            --package-path trainer/ \\
            --job-dir $MODEL_DIR \\
            -- \\
            --train-files $TRAIN_DATA \\
            --eval-files $EVAL_DATA \\
            --train-steps 30 \\
            --eval-steps 100

        BUCKET_NAME=my-irises
        REGION=us-central1
        gsutil mb -l $REGION gs://$BUCKET_NAME
        gsutil cp -r data gs://$BUCKET_NAME/data
        TRAIN_DATA=gs://$BUCKET_NAME/data/iris_training.csv
        EVAL_DATA=gs://$BUCKET_NAME/data/iris_test.csv
        JOB_NAME=iris_single_1
        OUTPUT_PATH=gs://$BUCKET_NAME/$JOB_NAME
        gcloud ml-engine jobs submit training $JOB_NAME \\
            --job-dir $OUTPUT_PATH \\
            --runtime-version 1.10 \\
            --module-name trainer.task \\
            --package-path trainer/ \\
            --region $REGION \\
            -- \\
            --train-files $TRAIN_DATA \\
            --eval-files $EVAL_DATA \\
            --train-steps 30 \\
            --eval-steps 100 \\
            --verbosity DEBUG
        gcloud ml-engine jobs stream-logs $JOB_NAME
        gcloud ml-engine jobs list --limit 1

        MODEL_NAME=iris
        gcloud ml-engine models create $MODEL_NAME --regions=$REGION
        gsutil ls -r $OUTPUT_PATH/export
        MODEL_BINARIES=$(gsutil ls $OUTPUT_PATH/export/iris | tail -1)
        gcloud ml-engine versions create v1 \\
            --model $MODEL_NAME \\
            --origin $MODEL_BINARIES \\
            --runtime-version 1.10
        gcloud ml-engine models list
        gcloud ml-engine predict \\
            --model $MODEL_NAME \\
            --version v1 \\
            --json-instances data/test.json
    """)

    assert printed.count("step 30/30  loss ") == 2
    assert re.search(r"^iris_single_1 +SUCCEEDED ", printed, re.MULTILINE)
    assert re.search(r"^iris +v1$", printed, re.MULTILINE)
    header, row = printed.strip().splitlines()[-2:]
    assert {"CLASSES", "LOGITS", "PROBABILITIES"} <= set(header.split())
    assert re.search(r"setosa|versicolor|virginica|\[\d", row)


@pytest.mark.slow
def test_the_commands_of_the_babyweight_tutorial(run: Run) -> None:
    printed = run("""
        BUCKET=my-babies
        REGION=us-central1
        TFVERSION=1.8
        gsutil mb -l ${REGION} gs://${BUCKET}
        mlhelpers data prepare babyweight --output-dir gs://${BUCKET}/babyweight/preproc
        gsutil ls gs://${BUCKET}/babyweight/preproc/*-00000*

        rm -rf babyweight_trained
        export PYTHONPATH=${PYTHONPATH}:${PWD}/babyweight
        python -m trainer.task \\
            --bucket=${BUCKET} \\
            --output_dir=babyweight_trained \\
            --job-dir=./tmp \\
            --pattern="00000-of-" --train_examples=1 --eval_steps=1

        cat > inputs.json <<EOF
{"key": "b1", "is_male": "True", "mother_age": 26.0, "plurality": "Single(1)", "gestation_weeks": 39}
{"key": "g1", "is_male": "False", "mother_age": 26.0, "plurality": "Single(1)", "gestation_weeks": 39}
EOF
        MODEL_LOCATION=$(ls -d $(pwd)/babyweight_trained/export/exporter/* | tail -1)
        gcloud ml-engine local predict --model-dir=$MODEL_LOCATION --json-instances=inputs.json

        OUTDIR=gs://${BUCKET}/babyweight/trained_model
        JOBNAME=babyweight_$(date -u +%y%m%d_%H%M%S)
        echo $OUTDIR $REGION $JOBNAME
        gsutil -m rm -rf $OUTDIR
        gcloud ml-engine jobs submit training $JOBNAME \\
            --region=$REGION \\
            --module-name=trainer.task \\
            --package-path=$(pwd)/babyweight/trainer \\
            --job-dir=$OUTDIR \\
            --staging-bucket=gs://$BUCKET \\
            --scale-tier=STANDARD_1 \\
            --runtime-version=$TFVERSION \\
            -- \\
            --bucket=${BUCKET} \\
            --output_dir=${OUTDIR} \\
            --train_examples=2
        gcloud ml-engine jobs stream-logs $JOBNAME
        gcloud ml-engine jobs describe $JOBNAME --summarize
        gsutil ls ${OUTDIR}/export/exporter
    """)

    assert "training for 1 steps of 512 rows" in printed
    table = printed[printed.index("KEY ") :].splitlines()[:3]
    assert table[0].split() == ["KEY", "PREDICTIONS"]
    assert [row.split()[0] for row in table[1:]] == ["b1", "g1"]
    assert "SUCCEEDED" in printed
    assert re.search(r"gs://my-babies/babyweight/trained_model/export/exporter/\d+/", printed)

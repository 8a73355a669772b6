"""The commands of the original babyweight tutorial."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest


@pytest.mark.slow
def test_the_commands_of_the_babyweight_tutorial(run: Callable[[str], str]) -> None:
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

"""The commands of the original Iris tutorial."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest


@pytest.mark.slow
def test_the_commands_of_the_iris_tutorial(run: Callable[[str], str]) -> None:
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

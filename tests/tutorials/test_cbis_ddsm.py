"""The commands of the original CBIS-DDSM tutorial."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_commands_of_the_cbis_ddsm_tutorial(run: Callable[[str], str], home: Path) -> None:
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

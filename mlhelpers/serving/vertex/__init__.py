"""Vertex AI as a place where models are kept and answer, by Google's own clients; the words are those of this machine.

| here | on Vertex AI |
|---|---|
| `models create MNIST` | an Endpoint with the id `mnist`, which costs nothing while it is empty |
| `versions create v1 --origin FOLDER` | FOLDER to `gs://BUCKET/models/MNIST/v1`; `models.upload` with `artifactUri` |
| a model's first version | a Model with the id `mnist` and the version aliases `v1` and `default` |
| a later version | `models.upload` with `parentModel`, the alias its name; default and traffic stay |
| a version answers | `endpoints.deployModel`: machines, from now on paid until `versions undeploy` |
| `models set-traffic MNIST v1=90 v2=10` | the endpoint's `trafficSplit`, DeployedModel -> whole percent |
| `versions set-default v2` | the alias `default`, and all of the endpoint's traffic |
| `predict --model MNIST` | `endpoints.predict`; with `--version`, only where that one has all traffic |
| `jobs submit prediction` | a BatchPredictionJob, which needs a Model and no endpoint |

| file | what |
|---|---|
| `names.py` | ids, aliases, addresses: from our names to theirs and back |
| `images.py` | the container image: our own prediction server's, or a prebuilt one with its end |
| `plans.py` | every request, pure |
| `bill.py` | what will cost money |
| `making.py` | things made once, noted on the ledger before; operations that take their time |
| `deploying.py` | files, Model, Endpoint, deployment, traffic: what `plans` says, done |
| `lookups.py`, `records.py` | what is there, by our names, in the old service's words |
| `reading.py`, `planner.py`, `registry.py` | the same calls as `ModelStore`: those that look, plan, change |
| `predictor.py`, `answers.py` | `serving.connect(…, backend="vertex")` |
| `batch.py`, `batch_jobs.py` | batch predictions: the request, and the job |
| `artifacts.py` | a serving container fetches its model |

Not run against Google's own service, for want of an account: the messages and clients are Google's, the server in the
tests is `mlhelpers emulator`. Facts are from the reference of google.cloud.aiplatform.v1.
"""

from __future__ import annotations

__all__: list[str] = []

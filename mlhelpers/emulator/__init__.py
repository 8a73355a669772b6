"""Vertex AI on this machine: its REST surface over the local engine, for Google's own SDK, without an account.

    from google.cloud import aiplatform
    aiplatform.init(**mlhelpers.emulator.start())      # every following line is Google's own

Custom jobs, hyperparameter tuning jobs and batch prediction jobs really run, as jobs of the local engine; models are
kept in the local model store, endpoints answer from it; a bucket is a folder of the local store, and an object of
Cloud Storage on the same address. What is known lies in `<home>/emulator`, so that a restart keeps it. It binds
loopback alone. Whatever is not in this table is refused with 501 UNIMPLEMENTED and its name, never ignored.

========================================  ============================================================================
The service                               The emulator
========================================  ============================================================================
runs a container's image                  runs its `command` with this machine's Python and programs; the log says so.
                                          A command is needed
each replica a machine                    a process of the local engine, in a virtual environment of its own in which
                                          all that is installed here counts as installed; `pip` finds no index; two
                                          replicas a core at most
machineSpec, diskSpec, serviceAccount,    kept and shown, without effect: there is one machine, and it is never taken
dedicatedResources, automaticResources,   away
scheduling.strategy and maxWaitDuration
timeout, disableRetries, restarts and     as the local engine: five restarts of a replica, three retries
retries
mounts buckets at /gcs                    an address /gcs/BUCKET/… in a command, an argument or env is handed over as
                                          the bucket's folder; one that a trainer builds itself is not found
AIP_MODEL_DIR, AIP_CHECKPOINT_DIR,        the same gs:// addresses; Google's Cloud Storage client and
AIP_TENSORBOARD_LOG_DIR                   `mlhelpers.storage` reach them, file systems of frameworks do not
several metrics, transfer learning,       one metric, median stopping; a Gaussian process of our own, which learns
decay-curve and convex stopping           from each trial's last measurement whatever measurementSelectionType says
long-running operations take minutes      they are over when they are answered
loads a model in the container of its     kept and shown; the artefacts are served by the local runtimes, from a copy
containerSpec                             made at upload
predicts over HTTP from replicas that     one copy in the emulator's process, one request at a time for each deployed
scale                                     model; traffic is split exactly over any 100 requests
rawPredict, streaming, explain, private   not there
endpoints, deployment pools, shadow
traffic
batch prediction writes                   prediction.results-00000-of-0000N, as the local engine does; reads jsonl,
predictions_0001.jsonl                    tf-record, tf-record-gzip
filters and orders of a whole grammar     display_name="…", state="…", labels.KEY="…", labels.KEY:*, with AND;
                                          create_time, update_time, display_name
deletes a job that runs, or an endpoint   refused with FAILED_PRECONDITION
in use, each in its own way
permissions, quotas, prices, regions      none: any project and region is answered
Cloud Logging                             entries:list of a job's lines
========================================  ============================================================================

The table is drawn from Google's reference of the API and from its client library; nothing was run against
Google's own service.

| file | what |
|---|---|
| `process.py`, `run.py`, `app.py` | start and stop; the server; a request on its way to its handler |
| `routing.py`, `messages.py`, `records.py` | requests in parts; messages parsed, refused, packed; lists |
| `job_routes.py`, `training.py`, `batch.py`, `replica.py` | jobs: on the wire, as the local engine's, and what runs |
| `models.py`, `endpoints.py` | models with versions and aliases; deployments, traffic, predictions |
| `cloud_storage.py`, `log_entries.py` | Cloud Storage over the buckets' folders; Cloud Logging of the jobs |

May import `errors`, `settings`, `storage`, `cloud`, `jobs`, `tuning` and `serving`.
"""

from __future__ import annotations

from mlhelpers.emulator.process import start, stop

__all__ = ["start", "stop"]

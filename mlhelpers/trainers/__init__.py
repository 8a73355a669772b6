"""The trainers, one file each; every one runs with `python -m mlhelpers.trainers.NAME --flags`.

A trainer is a frozen dataclass of hyperparameters, from which its flags come, and a function that trains, evaluates
and exports. To add one: its file here and its line in the table; the contract tests run over the table. TensorFlow,
scikit-learn and XGBoost are imported inside functions only, so that `--help` answers at once, and none of them needs
another: `iris_sklearn`, `iris_xgboost`, `babyweight_sklearn` and `babyweight_xgboost` train, and are served, without
TensorFlow. May import `errors`, `settings`, `storage`
and `datasets`.

| file | job |
|---|---|
| `flags.py` | dataclass -> command line |
| `base.py` | the run: output folder, settings that must not change, errors -> exit codes; a callback for Keras |
| `reporting.py` | progress, TensorBoard, history; which results a study is told |
| `metric_file.py` | what a hyperparameter study reads of a trial |
| `cluster.py` | TF_CONFIG: which processes train together |
| `data_parallel.py` | training over several processes |
| `loop.py` | training steps, checkpoints, taking a run up again |
| `events.py` | what TensorBoard shows, written without TensorFlow |
| `export.py` | the export directory: model files and signature.json; SavedModel and LiteRT model |
| `flowers.py`, `births.py` | the data flags, the data and the requests of every iris and of every babyweight trainer |
| `pipelines.py` | what the scikit-learn trainers share: fitted once, written with skops |
| `boosting.py` | what the XGBoost trainers share: rounds, checkpoints, categories |
| `augment.py` | pictures of digits, moved and drawn otherwise |
| `wide_and_deep.py` | the babyweight tutorial's network and the columns that it sees |
| `keras_loop.py` | training steps and checkpoints on every Keras backend |
| `mammograms.py` | mammograms read from folders or records, in batches |
| `density_network.py` | the two networks for breast density, and their export |
| `confusion.py` | confusion matrix, recalls, linear-weighted kappa |
| `iris_serving.py` | the three forms in which irises are asked about |
"""

from __future__ import annotations

from mlhelpers.errors import unknown_name

__all__ = ["module_path", "names"]

_TABLE = {
    "babyweight": "mlhelpers.trainers.babyweight",
    "babyweight_sklearn": "mlhelpers.trainers.babyweight_sklearn",
    "babyweight_xgboost": "mlhelpers.trainers.babyweight_xgboost",
    "cbis_ddsm": "mlhelpers.trainers.cbis_ddsm",
    "iris": "mlhelpers.trainers.iris",
    "iris_sklearn": "mlhelpers.trainers.iris_sklearn",
    "iris_xgboost": "mlhelpers.trainers.iris_xgboost",
    "mnist": "mlhelpers.trainers.mnist",
}


def names() -> list[str]:
    """Return the names of the trainers, in alphabetical order."""
    return sorted(_TABLE)


def module_path(name: str) -> str:
    """Return the module that `python -m` runs for a trainer.

    Raises:
        UsageError: There is no trainer of this name.
    """
    if name not in _TABLE:
        raise unknown_name("trainer", name, _TABLE)
    return _TABLE[name]

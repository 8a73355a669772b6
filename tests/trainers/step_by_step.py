"""Runs a trainer as a command does, with one row of history.csv for each step, in the precision that is asked for.

python step_by_step.py float64 mnist --flags
"""

from __future__ import annotations

import importlib
import sys

from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers import export, keras_loop, loop, module_path, reporting
from mlhelpers.trainers.base import main

reporting._LINE_EVERY_S = keras_loop._REPORT_EVERY_S = 0
loop._MAX_STEPS_PER_CALL = 1
export._write_litert = lambda *_: None  # LiteRT knows no float64

precision, name, *flags = sys.argv[1:]
import_tensorflow()
import keras  # noqa: E402

keras.config.set_floatx(precision)
trainer = importlib.import_module(module_path(name))
main(trainer.Hyperparameters, trainer.train, trainer.__name__, flags)

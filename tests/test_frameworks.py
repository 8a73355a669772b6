from __future__ import annotations

import subprocess
import sys

import pytest

from mlhelpers import frameworks
from mlhelpers.errors import MissingExtraError


def test_tensorflow_comes_without_what_it_only_looks_for_and_that_can_be_imported_afterwards() -> None:
    code = """
import sys
from mlhelpers.frameworks import import_tensorflow
tf = import_tensorflow()
assert not {"jax", "sklearn"} & set(sys.modules), "TensorFlow imported them all the same"
assert float(tf.constant(2.0) + 1.0) == 3.0
import jax, sklearn
assert jax.__version__ and sklearn.__version__
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_tensorflow_is_told_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)

    with pytest.raises(MissingExtraError, match=r"TensorFlow.*mlhelpers\[train\]"):
        frameworks.import_tensorflow()

"""Our own exports on both of their runtimes: the same answers as NumPy's, true words on a broken model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mlhelpers.errors import MissingExtraError, ModelError, UsageError
from mlhelpers.serving import runtimes
from mlhelpers.serving.model import load_model

Expected = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module", params=["litert", "savedmodel"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_both_signatures_answer_as_numpy_does(
    runtime: str, tiny_export: Path, images: np.ndarray, expected: Expected
) -> None:
    model = load_model(tiny_export, runtime)
    greys = images / 255.0

    for answer in (model.predict(list(greys)), model.predict([{"pixels": image} for image in images])):
        np.testing.assert_allclose(answer["probabilities"], expected(greys), atol=1e-5)
        np.testing.assert_array_equal(answer["classes"], expected(greys).argmax(1))
    assert model.runtime == runtime


def test_any_number_of_instances_in_any_order_of_sizes(runtime: str, tiny_export: Path, expected: Expected) -> None:
    model = load_model(tiny_export, runtime)
    draw = np.random.default_rng(0)

    for size in (1, 3, 128, 300, 1, 129):
        greys = draw.random((size, 784), dtype=np.float32)
        answer = model.predict(greys)["probabilities"]
        assert answer.shape == (size, 10)
        np.testing.assert_allclose(answer, expected(greys), atol=1e-5)


def test_threads_do_not_mix_their_answers(runtime: str, tiny_export: Path, expected: Expected) -> None:
    model = load_model(tiny_export, runtime)
    pictures = np.random.default_rng(1).integers(0, 256, (200, 784), dtype=np.uint8)

    def ask(index: int) -> np.ndarray:
        size = index % 3 + 1
        if index % 2:
            return model.predict([{"pixels": pictures[index]}] * size)["probabilities"][-1]
        return model.predict([pictures[index] / 255.0] * size)["probabilities"][-1]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(200)))

    np.testing.assert_allclose(answers, expected(pictures / 255.0), atol=1e-5)


def test_a_damaged_model_is_named(runtime: str, own_export: Path) -> None:
    name = {"litert": "model.tflite", "savedmodel": "saved_model.pb"}[runtime]
    file = own_export / name
    file.write_bytes(b"\x00" * 64 + file.read_bytes()[:200])

    with pytest.raises(ModelError, match=r"own_export.* cannot be loaded: .*Export the model again"):
        load_model(own_export, runtime)


def test_an_empty_model_file_is_named(runtime: str, own_export: Path) -> None:
    name = {"litert": "model.tflite", "savedmodel": "saved_model.pb"}[runtime]
    (own_export / name).write_bytes(b"")

    with pytest.raises(ModelError, match="Export the model again"):
        load_model(own_export, runtime)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"pixels": {"inputs"',
            '"dots": {"inputs"',
            "names the signature 'dots', which .* does not have; it has 'pixels'",
        ),
        ('{"inputs": {"dtype"', '{"greys": {"dtype"', r"takes \['greys'\] .* takes \['inputs'\]"),
        ('"classes": {', '"digits": {', r"gives \['digits', 'probabilities'\]; .* gives \['classes', 'prob"),
    ],
)
def test_a_signature_file_of_another_model_is_refused(
    runtime: str, own_export: Path, old: str, new: str, message: str
) -> None:
    path = own_export / "signature.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    with pytest.raises(ModelError, match=message):
        load_model(own_export, runtime)


def test_litert_comes_first_and_the_savedmodel_serves_without_it(own_export: Path) -> None:
    assert runtimes.choose(own_export)[0] == "litert"

    (own_export / "model.tflite").unlink()

    assert runtimes.choose(own_export)[0] == "savedmodel"


def test_the_savedmodel_serves_where_litert_is_not_installed(
    tiny_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlhelpers.serving.runtimes import litert

    monkeypatch.setattr(litert, "PACKAGE", "no_such_package")

    assert runtimes.choose(tiny_export)[0] == "savedmodel"


def test_a_missing_package_is_named_with_its_extra(own_export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlhelpers.serving.runtimes import litert

    monkeypatch.setattr(litert, "PACKAGE", "no_such_package")
    (own_export / "saved_model.pb").unlink()

    with pytest.raises(MissingExtraError, match=r"runs model\.tflite, is not installed.*mlhelpers\[serve\]"):
        load_model(own_export)


def test_an_unknown_runtime_is_refused(tiny_export: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no runtime 'lite'\. Did you mean 'litert'\?"):
        load_model(tiny_export, "lite")


def test_a_model_whose_answer_is_not_a_batch_is_named(own_export: Path) -> None:
    model = load_model(own_export)
    cut = type(model)(model.folder, model.runtime, model.signature, lambda name, arrays: {
        "classes": np.zeros(1), "probabilities": np.zeros((1, 10))
    })  # fmt: skip

    with pytest.raises(ModelError, match=r"gave 'classes' in the shape \[1\] for 2 instances"):
        cut.predict([[0.5] * 784] * 2)


def test_thousands_of_instances_are_run_in_small_parts(tiny_export: Path) -> None:
    model = load_model(tiny_export)
    sizes = []

    def run(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        sizes.append(len(arrays["inputs"]))
        return {"classes": np.zeros(sizes[-1]), "probabilities": np.zeros((sizes[-1], 10))}

    counted = type(model)(model.folder, model.runtime, model.signature, run)

    assert counted.predict(np.zeros((1000, 784)))["probabilities"].shape == (1000, 10)
    assert (sum(sizes), max(sizes)) == (1000, 128)


def test_litert_keeps_quiet_and_leaves_tensorflow_alone(tiny_export: Path) -> None:
    code = (
        "import sys; from mlhelpers import serving; import json; "
        f"print(json.dumps(serving.load({str(tiny_export)!r}).predict([[0.5] * 784]))); "
        "print('tensorflow' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    prediction, tensorflow = done.stdout.splitlines()
    assert len(json.loads(prediction)[0]["probabilities"]) == 10
    assert (tensorflow, done.stderr) == ("False", "")


def test_a_loaded_model_outlives_its_folder(own_export: Path) -> None:
    import shutil

    model = load_model(own_export)
    shutil.rmtree(own_export)

    assert model.predict([[0.5] * 784])["probabilities"].shape == (1, 10)

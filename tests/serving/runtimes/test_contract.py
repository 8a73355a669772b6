"""What every runtime owes: a line in `KINDS`, and all of this is asked of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_model import Foreign

from mlhelpers import serving
from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving import runtimes
from mlhelpers.serving.model import load_model
from mlhelpers.serving.signature import parse_signature

# runtime -> the kind of model in conftest's `foreign` that it is held against
KINDS = {"litert": "lite", "savedmodel": "simple_save", "keras": "keras", "sklearn": "sklearn", "xgboost": "xgboost"}
_TABLES = ("sklearn", "xgboost")  # whose files know columns, and no signatures by name


@pytest.fixture(params=runtimes.RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def small(runtime: str, foreign: Callable[[str], Foreign]) -> Foreign:
    return foreign(KINDS[runtime])


def _agree(answer: Mapping[str, np.ndarray], expected: Mapping[str, Any], rows: slice = slice(None)) -> None:
    assert answer.keys() == expected.keys()
    for name, values in expected.items():
        if isinstance(values[0], str):
            assert answer[name].tolist() == values[rows]
        else:
            np.testing.assert_allclose(answer[name], np.asarray(values)[rows], rtol=1e-4, atol=1e-5)


def test_the_folder_is_known_by_its_file_and_answers_as_its_own_framework(runtime: str, small: Foreign) -> None:
    model = load_model(small.folder)

    assert model.runtime == runtime
    assert len(small.instances) > 3
    _agree(model.predict(small.instances), small.expected)


def test_a_batch_and_single_instances_are_answered_alike(small: Foreign) -> None:
    model = load_model(small.folder)

    for row, instance in enumerate(small.instances):
        _agree(model.predict([instance]), small.expected, slice(row, row + 1))
    many = model.predict(small.instances * 40)  # more than are run at once
    _agree({name: array[-len(small.instances) :] for name, array in many.items()}, small.expected)


def test_threads_get_their_own_answers(small: Foreign) -> None:
    model = load_model(small.folder)
    rows = [index % len(small.instances) for index in range(120)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: model.predict([small.instances[row]]), rows))

    for row, answer in zip(rows, answers, strict=True):
        _agree(answer, small.expected, slice(row, row + 1))


def test_it_is_warm_when_it_is_there(runtime: str, small: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    _, module = runtimes.choose(small.folder, runtime)
    ran: list[str] = []
    warm_up = module.warm_up

    def noting(run: runtimes.Run, signature: Any) -> None:
        def noted(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            answer = run(name, arrays)
            ran.append(name)
            return answer

        warm_up(noted, signature)

    monkeypatch.setattr(module, "warm_up", noting)
    model = load_model(small.folder)

    assert sorted(ran) == sorted(model.signature.signatures)


@pytest.mark.parametrize("damage", ["cut", "empty", "zeros", "text"])
def test_a_damaged_file_is_named_with_the_cure(runtime: str, small: Foreign, damage: str) -> None:
    file = _file(small.folder, runtime)
    content = file.read_bytes()
    file.write_bytes(
        {"cut": content[: len(content) // 2], "empty": b"", "zeros": bytes(len(content)), "text": b"no model\n"}[damage]
    )

    with pytest.raises(ModelError, match=rf"{small.folder.name}.* (Export|Save|Write) .*(again|open|beside)") as caught:
        load_model(small.folder)
    assert "Traceback" not in str(caught.value)


def test_it_outlives_its_folder(small: Foreign) -> None:
    model = load_model(small.folder)
    shutil.rmtree(small.folder)

    _agree(model.predict(small.instances), small.expected)


@pytest.mark.parametrize("wrong", ["signature", "input", "output"])
def test_a_signature_file_of_another_model_is_refused(runtime: str, small: Foreign, wrong: str) -> None:
    if runtime in _TABLES and wrong == "signature":
        pytest.skip("any name will do: the file knows columns only")
    document = json.loads(json.dumps(dict(runtimes.signature_of(small.folder).document)))
    entry = next(iter(document["signatures"].values()))
    if wrong == "signature":
        document["signatures"] = {"other": entry}
        document["default_signature"] = "other"
    else:
        side = entry[f"{wrong}s"]
        side["other"] = side.pop(next(iter(side)))
    (small.folder / "signature.json").write_text(json.dumps(document))

    with pytest.raises(ModelError, match=r"signature\.json .*'other'.*Export the model again"):
        load_model(small.folder)


def test_what_it_does_not_take_is_refused_with_what_it_takes(small: Foreign) -> None:
    model = load_model(small.folder)

    with pytest.raises(PredictionError, match="takes"):
        model.predict([{"nonsense": 1}])


def test_a_version_keeps_what_was_derived_and_answers_the_same(small: Foreign, home: Path) -> None:
    store = serving.ModelStore()
    store.create_model("Theirs")
    version = store.create_version("Theirs", "v1", small.folder)

    kept = json.loads((version.folder / "signature.json").read_text())
    assert parse_signature(kept) == runtimes.signature_of(small.folder)
    assert version.describe()["framework"] != "UNKNOWN"
    assert not (small.folder / "signature.json").exists() or "derived_from" not in kept
    with serving.load("Theirs") as predictor:
        names = set(small.expected)
        assert [set(row) for row in predictor.predict(small.instances)] == [names] * len(small.instances)


def test_the_table_and_this_suite_name_the_same_runtimes() -> None:
    assert list(KINDS) == list(runtimes.RUNTIMES)


def _file(folder: Path, runtime: str) -> Path:
    return folder / next(name for name, of in runtimes.model_files().items() if of == runtime)

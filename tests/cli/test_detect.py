"""`mlhelpers detect image` and `detect models`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import skimage.data
from click.testing import CliRunner, Result
from PIL import Image

from mlhelpers.cli.detect import detect
from mlhelpers.detection import MODELS
from mlhelpers.errors import DataError, UsageError


@pytest.fixture(scope="module")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "cat.jpg"
    Image.fromarray(skimage.data.chelsea()).save(path, quality=92)
    return path


def _run(*words: object) -> Result:
    return CliRunner().invoke(detect, [str(word) for word in words], catch_exceptions=False)


def test_a_photo_becomes_a_table(cat: Path) -> None:
    lines = _run("image", cat, "--model", "ssdlite").stdout.splitlines()

    assert lines[0].split() == ["FILE", "NAME", "SCORE", "YMIN", "XMIN", "YMAX", "XMAX"]
    assert lines[1].split()[:2] == [str(cat), "cat"]
    assert len(lines) == 2


def test_json_has_each_file_with_its_detections(cat: Path) -> None:
    content = json.loads(_run("image", cat, cat, "--model", "ssdlite", "--format", "json").stdout)

    assert [each["counts"] for each in content] == [{"cat": 1}, {"cat": 1}]
    assert content[0]["file"] == str(cat)
    assert content[0]["size"] == {"width": 451, "height": 300}
    assert len(content[0]["detections"][0]["box"]) == 4


def test_a_higher_threshold_leaves_less(cat: Path) -> None:
    assert _run("image", cat, "--model", "ssdlite", "--threshold", "0.99").stdout.strip() == "Listed 0 items."


def test_the_picture_is_drawn_into_a_file(cat: Path, tmp_path: Path) -> None:
    _run("image", cat, "--model", "ssdlite", "--output", tmp_path / "drawn.png")

    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.width == 1200
        assert drawn.height == pytest.approx(1200 * 300 / 451, abs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["drawn.png"]


def test_one_picture_is_drawn_at_a_time_and_into_a_picture(cat: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for 2 files"):
        _run("image", cat, cat, "--output", tmp_path / "drawn.png")
    with pytest.raises(UsageError, match=r"ends in \.png"):
        _run("image", cat, "--output", tmp_path / "drawn.docx")


def test_what_is_no_picture_or_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear Sir")

    with pytest.raises(DataError, match="JPEG, PNG or WebP"):
        _run("image", tmp_path / "letter.jpg")
    with pytest.raises(DataError, match="No such file"):
        _run("image", tmp_path / "none.jpg")


def test_the_table_of_models_has_all_that_have_a_name() -> None:
    rows = json.loads(_run("models", "--format", "json").stdout)
    table = _run("models").stdout.splitlines()

    assert [row["name"] for row in rows] == list(MODELS) == [line.split()[0] for line in table[1:]]
    assert all(row["coco_map"] > 15 and row["coco_map_source"] and row["licence"] and row["origin"] for row in rows)
    assert [row["name"] for row in rows if row["place"] == "shipped"] == ["nanodet", "ssdlite"]
    assert len([row for row in rows if row["place"].startswith("http://download.tensorflow.org/")]) == 5

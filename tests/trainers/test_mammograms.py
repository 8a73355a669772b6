from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlhelpers.datasets.cbis_ddsm.pictures import write_png
from mlhelpers.datasets.records import write_records
from mlhelpers.errors import DataError, UsageError
from mlhelpers.trainers.cluster import Rows
from mlhelpers.trainers.mammograms import Pictures, batches, read_folder, read_record_file


def picture(height: int = 6, width: int = 4, level: int = 40_000) -> np.ndarray:
    return np.full((height, width), level, np.uint16)


def pictures(n: int = 23) -> Pictures:
    images = np.random.default_rng(0).integers(0, 65536, (n, 32, 16)).astype(np.uint16)
    return Pictures(images, np.arange(n), "numbers")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for density, case in ((1, "Phantom-Test_P_00001_LEFT_CC"), (4, "Phantom-Test_P_00002_LEFT_CC")):
        write_png(tmp_path / f"{density}_{case}.png", picture(level=density))
    return tmp_path


def test_a_folder_is_read_with_densities_out_of_the_names(folder: Path) -> None:
    read = read_folder(folder)

    assert read.labels.tolist() == [0, 3]
    assert read.images[:, 0, 0].tolist() == [1, 4]
    assert (read.shape, len(read)) == ((6, 4), 2)


def test_what_was_read_is_told_apart_by_the_names(folder: Path) -> None:
    assert "no person's" in read_folder(folder).what
    write_png(folder / "2_Mass-Test_P_00173_LEFT_CC.png", picture())
    assert "2 of 3 of them synthetic" in read_folder(folder).what
    for path in folder.glob("*Phantom*"):
        path.unlink()
    assert read_folder(folder).what == "mammograms"


def test_a_size_that_the_pictures_do_not_have_is_refused(folder: Path) -> None:
    assert read_folder(folder, 4, 6).shape == (6, 4)
    with pytest.raises(UsageError, match=r"are 4x6 pixels.*--image_width 95.*Leave both at 0"):
        read_folder(folder, 95, 128)


def test_pictures_of_two_sizes_are_refused(folder: Path) -> None:
    write_png(folder / "2_odd.png", picture(7, 4))
    with pytest.raises(DataError, match=r"2_odd.png is 4x7 pixels, .* is 4x6.*data prepare cbis_ddsm"):
        read_folder(folder)


def test_an_empty_folder_is_refused_with_the_command_that_fills_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no picture.*mlhelpers data prepare cbis_ddsm"):
        read_folder(tmp_path)


def test_a_record_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(0, 65535, (128, 95)).astype("<f4")
    write_records(tmp_path / "r", [{"label": 2, "image": image.tobytes()}])

    read = read_record_file(tmp_path / "r")

    np.testing.assert_array_equal(image, read.images[0])
    assert read.labels.tolist() == [2]


@pytest.mark.parametrize(
    ("record", "error", "message"),
    [
        ({"label": 2, "image": b"1234"}, UsageError, "record 0 has 4 bytes; 95x128 pixels.*48,640.*--image_width"),
        ({"label": 2, "image_raw": b"1234"}, DataError, r"record 0 has \['image_raw', 'label'\]"),
        (None, DataError, "holds no record"),
    ],
)
def test_records_of_something_else_are_refused(
    tmp_path: Path, record: dict[str, int | bytes] | None, error: type[Exception], message: str
) -> None:
    write_records(tmp_path / "r", [record] if record else [])
    with pytest.raises(error, match=message):
        read_record_file(tmp_path / "r")


def test_a_missing_record_file_is_refused_with_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist.*mlhelpers data prepare cbis_ddsm"):
        read_record_file(tmp_path / "none")


@pytest.mark.parametrize("augment", [False, True])
def test_a_batch_depends_on_seed_and_step_alone(augment: bool) -> None:
    once, again, other = (batches(pictures(), 5, seed, augment) for seed in (0, 0, 1))

    for step in (7, 0, 3):
        for one, two in zip(once(step), again(step), strict=True):
            np.testing.assert_array_equal(one, two)
    assert once(0)[1].tolist() != other(0)[1].tolist()


def test_no_picture_comes_twice_in_an_epoch_and_epochs_differ() -> None:
    batch = batches(pictures(), 5, 0, augment=False)
    first, second = (np.concatenate([batch(step)[1] for step in steps]).tolist() for steps in (range(4), range(4, 8)))

    assert len(set(first)) == len(set(second)) == 20
    assert first != second
    assert set(range(23)) == {label for step in range(80) for label in batch(step)[1].tolist()}


def test_an_unchanged_batch_holds_the_pictures_of_its_labels() -> None:
    data = pictures()
    images, labels = batches(data, 5, 0, augment=False)(2)

    assert images.dtype == np.float32
    np.testing.assert_array_equal(data.images[labels][..., None], images)


def test_a_changed_picture_keeps_its_range_and_most_of_its_pattern() -> None:
    data = pictures(5)
    images, labels = batches(data, 5, 0, augment=True)(0)

    assert images.min() >= 0
    assert images.max() <= 65535
    for image, label in zip(images[..., 0], labels, strict=True):
        assert not np.array_equal(image, data.images[label])
        flat = np.sort(image[image > 0] / image.max())
        assert abs(np.median(flat) - 0.5) < 0.15
        assert (image > 0).mean() > 0.8


def test_a_shift_moves_by_whole_pixels_and_fills_with_black() -> None:
    spot = np.zeros((1, 64, 48), np.uint16)
    spot[0, 30, 20] = 10_000
    data = Pictures(spot, np.zeros(1, int), "a spot")

    places = set()
    for step in range(30):
        image = batches(data, 1, 0, augment=True)(step)[0][0, ..., 0]
        assert (image > 0).sum() == 1
        places.add(tuple(np.argwhere(image)[0].tolist()))

    assert len(places) > 15
    assert all(min(abs(y - 30), abs(y - 33)) <= 4 and min(abs(x - 20), abs(x - 27)) <= 2 for y, x in places)


def test_rows_of_a_batch_are_those_of_the_whole_batch() -> None:
    images = np.random.default_rng(0).integers(0, 65536, (12, 32, 24)).astype(np.uint16)
    data = Pictures(images, np.arange(12) % 4, "noise")
    whole, part = (batches(data, 7, 5, True, rows)(4) for rows in (None, Rows(3, 7, 7)))

    np.testing.assert_array_equal(part[0], whole[0][3:])
    np.testing.assert_array_equal(part[1], whole[1][3:])

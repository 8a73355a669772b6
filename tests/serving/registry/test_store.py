"""The model store: names, defaults, and that a version is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlhelpers import serving
from mlhelpers.errors import DataError, ModelError, UsageError
from mlhelpers.serving.registry.resources import UnknownModelError, framework_of
from mlhelpers.serving.runtimes import model_files


def _left_aside(store: serving.ModelStore) -> list[Path]:
    """Return what is there and is no model, no version and not the lock."""
    return [path for path in store.root.rglob("*") if path.name.startswith(".") and path.name != ".lock"]


def test_a_model_starts_without_versions(home: Path) -> None:
    store = serving.ModelStore()

    model = store.create_model("MNIST", description="digits", regions="europe-west1")

    assert [one.name for one in store.list_models()] == ["MNIST"]
    assert (model.default_version, model.regions) == (None, ("europe-west1",))
    assert store.describe("MNIST") == {
        "name": "MNIST",
        "createTime": model.created,
        "regions": ["europe-west1"],
        "description": "digits",
    }
    assert store.root == home / "models"


def test_looking_makes_nothing(home: Path) -> None:
    assert serving.ModelStore().list_models() == []
    assert not home.exists()


def test_the_first_version_becomes_the_default_and_the_next_does_not(
    store: serving.ModelStore, tiny_export: Path
) -> None:
    second = store.create_version("MNIST", "v2", tiny_export)

    assert not second.is_default
    assert store.model("MNIST").default_version == "v1"
    assert [(one.name, one.is_default) for one in store.list_versions("MNIST")] == [("v1", True), ("v2", False)]


def test_the_default_can_be_changed(store: serving.ModelStore, tiny_export: Path) -> None:
    store.create_version("MNIST", "v2", tiny_export)

    store.set_default("MNIST", "v2")

    assert store.version("MNIST").name == "v2"
    assert store.describe("MNIST")["defaultVersion"] == {"name": "v2", "isDefault": True}


def test_a_version_is_a_copy_of_every_file(store: serving.ModelStore, tiny_export: Path) -> None:
    folder = store.version("MNIST", "v1").folder

    wanted = {
        str(path.relative_to(tiny_export)): path.read_bytes() for path in tiny_export.rglob("*") if path.is_file()
    }
    copied = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert copied == wanted
    assert _left_aside(store) == []


def test_a_version_is_described_with_the_clouds_field_names(store: serving.ModelStore, tiny_export: Path) -> None:
    resource = store.describe("MNIST", "v1")

    assert resource.pop("createTime").endswith("Z")
    assert resource == {
        "name": "v1",
        "isDefault": True,
        "deploymentUri": str(tiny_export),
        "framework": "TENSORFLOW",
        "state": "READY",
        "localFolder": str(store.root / "MNIST" / "versions" / "v1" / "model"),
        "metrics": {"accuracy": 0.1},
    }


def test_the_newest_timestamp_is_taken_and_said(store: serving.ModelStore, tiny_export: Path, tmp_path: Path) -> None:
    for stamp in ("17", "9"):
        shutil.copytree(tiny_export, tmp_path / "Servo" / stamp)

    version = store.create_version("MNIST", "v2", tmp_path / "Servo")

    assert version.origin == str(tmp_path / "Servo" / "17")


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "../x", "a/b", "x" * 129, "é", "a\n", "a\0"])
def test_malformed_names_are_refused(store: serving.ModelStore, tiny_export: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no model name: it takes 1 to 128 letters, digits and underscores"):
        store.create_model(name)
    with pytest.raises(UsageError, match=r"no version name: .* begins with a letter, for instance v1"):
        store.create_version("MNIST", name, tiny_export)
    with pytest.raises(UnknownModelError, match="There is no model"):
        store.version(name)
    with pytest.raises(UnknownModelError, match="There is no MNIST version"):
        store.version("MNIST", name)


def test_the_longest_name_works(home: Path, tiny_export: Path) -> None:
    store = serving.ModelStore()
    store.create_model("m" * 128)

    assert store.create_version("m" * 128, "v" * 128, tiny_export).is_default


def test_a_name_is_taken_once(store: serving.ModelStore, tiny_export: Path) -> None:
    with pytest.raises(ModelError, match="There is a model 'MNIST' already"):
        store.create_model("MNIST")
    with pytest.raises(ModelError, match="'MNIST' has a version 'v1' already"):
        store.create_version("MNIST", "v1", tiny_export)
    assert _left_aside(store) == []


def test_of_many_at_once_one_wins_and_the_others_are_told(store: serving.ModelStore, tiny_export: Path) -> None:
    def create(_: int) -> str:
        try:
            return store.create_version("MNIST", "v2", tiny_export).name
        except ModelError as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(create, range(6)))

    assert outcomes.count("v2") == 1
    assert sum("has a version 'v2' already" in outcome for outcome in outcomes) == 5
    assert _left_aside(store) == []


def test_unknown_names_are_refused_with_the_nearest(store: serving.ModelStore, tiny_export: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"no model 'MNITS'\. Did you mean 'MNIST'\?.*mlhelpers models create"):
        store.create_version("MNITS", "v2", tiny_export)
    with pytest.raises(UnknownModelError, match=r"no MNIST version 'v11'\. Did you mean 'v1'\?"):
        store.set_default("MNIST", "v11")


def test_a_model_without_versions_says_how_to_make_one(home: Path) -> None:
    store = serving.ModelStore()
    store.create_model("MNIST")

    with pytest.raises(
        UnknownModelError, match=r"'MNIST' has no version yet\. .*mlhelpers versions create v1 --model MNIST"
    ):
        store.version("MNIST")


def test_the_default_goes_last(store: serving.ModelStore, tiny_export: Path) -> None:
    store.create_version("MNIST", "v2", tiny_export)

    with pytest.raises(ModelError, match=r"'v1' is the default .* goes last.*set-default v2 --model MNIST"):
        store.delete_version("MNIST", "v1")
    store.delete_version("MNIST", "v2")
    store.delete_version("MNIST", "v1")

    assert store.list_versions("MNIST") == []
    assert _left_aside(store) == []


def test_a_model_with_versions_is_not_deleted(store: serving.ModelStore) -> None:
    with pytest.raises(ModelError, match=r"still has versions: v1\. .*mlhelpers versions delete v1 --model MNIST"):
        store.delete_model("MNIST")
    store.delete_version("MNIST", "v1")
    store.delete_model("MNIST")

    assert store.list_models() == []
    assert [path.name for path in store.root.iterdir()] == [".lock"]


def test_after_the_default_was_lost_the_oldest_version_answers(store: serving.ModelStore, tiny_export: Path) -> None:
    for name in ("b2", "a3"):
        store.create_version("MNIST", name, tiny_export)
    store.set_default("MNIST", "a3")
    shutil.rmtree(store.version("MNIST", "a3").folder.parent)

    assert store.version("MNIST").name == "v1"


@pytest.mark.parametrize("place", ["link", "variables/link"])
def test_links_in_an_origin_are_refused(
    store: serving.ModelStore, own_export: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    (own_export / place).symlink_to(tmp_path / "secret")

    with pytest.raises(
        ModelError, match=rf"holds the symbolic link '{place}' to .*secret'\. A version holds files only"
    ):
        store.create_version("MNIST", "v2", own_export)
    assert [one.name for one in store.list_versions("MNIST")] == ["v1"]


def test_a_link_to_a_folder_is_refused_too(store: serving.ModelStore, own_export: Path, tmp_path: Path) -> None:
    (own_export / "more").symlink_to(tmp_path, target_is_directory=True)

    with pytest.raises(ModelError, match="symbolic link 'more'"):
        store.create_version("MNIST", "v2", own_export)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_an_origin_is_refused(store: serving.ModelStore, own_export: Path) -> None:
    os.mkfifo(own_export / "pipe")

    with pytest.raises(ModelError, match="'pipe', which is neither a file nor a folder"):
        store.create_version("MNIST", "v2", own_export)


def test_a_thousand_files_are_taken_and_one_more_is_not(store: serving.ModelStore, own_export: Path) -> None:
    present = sum(path.is_file() for path in own_export.rglob("*"))
    for number in range(1000 - present):
        (own_export / "assets" / str(number)).touch()

    store.create_version("MNIST", "v2", own_export)
    (own_export / "assets" / "one_more").touch()

    with pytest.raises(ModelError, match=r"holds more than 1,000 files, the most a version takes"):
        store.create_version("MNIST", "v3", own_export)


def test_an_origin_without_a_model_is_refused(store: serving.ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model in"):
        store.create_version("MNIST", "v2", tmp_path)
    with pytest.raises(ModelError, match="does not exist"):
        store.create_version("MNIST", "v2", tmp_path / "nothing")


def test_a_disk_that_takes_no_more_leaves_nothing(store: serving.ModelStore, tiny_export: Path) -> None:
    resource = pytest.importorskip("resource")
    code = (
        "import sys; from mlhelpers.cli import main\n"
        f"main(['versions', 'create', 'v2', '--model', 'MNIST', '--origin', {str(tiny_export)!r}])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )

    assert done.returncode == 1
    assert "v2 cannot be written: File too large. Set MLHELPERS_HOME to a folder you may write to" in done.stderr
    assert _left_aside(store) == []
    assert [one.name for one in store.list_versions("MNIST")] == ["v1"]


def test_a_process_killed_while_copying_leaves_no_version_and_is_swept_up(
    store: serving.ModelStore, tiny_export: Path
) -> None:
    code = (
        "import os, sys; from mlhelpers import serving; from mlhelpers.serving.registry import copying\n"
        "copying.os.rename = lambda *paths: os._exit(9)\n"
        f"serving.ModelStore().create_version('MNIST', 'v2', {str(tiny_export)!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 9
    assert len([path for path in _left_aside(store) if path.parent == store.root]) == 1
    assert [one.name for one in store.list_versions("MNIST")] == ["v1"]

    store.create_version("MNIST", "v2", tiny_export)

    assert _left_aside(store) == []


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        DataError, match=r"MNIST cannot be written: .*\. Set MLHELPERS_HOME to a folder you may write to"
    ):
        serving.ModelStore(tmp_path / "file" / "models").create_model("MNIST")


def test_a_damaged_store_is_named(store: serving.ModelStore) -> None:
    path = store.root / "MNIST" / "versions" / "v1" / "version.json"
    path.write_text('{"name": ')

    with pytest.raises(ModelError, match=r"version\.json is damaged: .*mlhelpers versions delete v1 --model MNIST"):
        store.version("MNIST", "v1")
    path.write_text(json.dumps([1]))
    with pytest.raises(ModelError, match="damaged: it should be a JSON object"):
        store.version("MNIST", "v1")


def test_labels_and_description_change_and_the_rest_stays(store: serving.ModelStore) -> None:
    store.set_default("MNIST", "v1")
    created = store.model("MNIST").created

    store.update_model("MNIST", description="digits", labels={"team": "blue", "stage": "trial"})
    changed = store.update_model("MNIST", labels={"stage": None, "n": "1"})

    assert changed == store.model("MNIST")
    assert (changed.description, dict(changed.labels)) == ("digits", {"team": "blue", "n": "1"})
    assert (changed.created, changed.default_version) == (created, "v1")
    assert store.update_model("MNIST", description="", clear_labels=True).describe().keys() == {
        *("name", "createTime", "regions", "defaultVersion")
    }


def test_a_version_is_updated_without_touching_its_files(store: serving.ModelStore) -> None:
    before = store.version("MNIST", "v1")
    files = {path: path.stat().st_mtime_ns for path in before.folder.rglob("*")}

    after = store.update_version("MNIST", "v1", description="the first", labels={"stage": "live"})

    assert (after.description, dict(after.labels)) == ("the first", {"stage": "live"})
    assert (after.created, after.metrics, after.origin) == (before.created, before.metrics, before.origin)
    assert {path: path.stat().st_mtime_ns for path in before.folder.rglob("*")} == files
    resource = store.describe("MNIST", "v1")
    assert (resource["description"], resource["labels"]) == ("the first", {"stage": "live"})


def test_a_malformed_label_changes_nothing(store: serving.ModelStore, tiny_export: Path) -> None:
    for change in (
        lambda: store.update_model("MNIST", description="new", labels={"Team": "a"}),
        lambda: store.update_version("MNIST", "v1", description="new", labels={"team": "A"}),
        lambda: store.create_model("other", labels={"": "a"}),
        lambda: store.create_version("MNIST", "v2", tiny_export, labels={"a b": "c"}),
    ):
        with pytest.raises(UsageError, match=r"is refused\. Keys and values are lower-case letters"):
            change()

    assert [one.name for one in store.list_models()] == ["MNIST"]
    assert store.model("MNIST").description == store.version("MNIST").description == ""
    assert [one.name for one in store.list_versions("MNIST")] == ["v1"]


def test_what_is_not_there_is_not_updated(store: serving.ModelStore) -> None:
    with pytest.raises(UnknownModelError, match="Did you mean 'MNIST'"):
        store.update_model("MNITS", description="x")
    with pytest.raises(UnknownModelError, match=r"no MNIST version 'v2'\. .*Known: v1"):
        store.update_version("MNIST", "v2", description="x")
    with pytest.raises(UnknownModelError, match="Did you mean 'MNIST'"):
        store.set_traffic("MNITS", {"v1": 100})


def test_traffic_is_split_and_given_back(store: serving.ModelStore, tiny_export: Path) -> None:
    store.create_version("MNIST", "v2", tiny_export)

    split = store.set_traffic("MNIST", {"v1": 90, "v2": 10})

    assert split.traffic == {"v1": 90, "v2": 10}
    assert store.describe("MNIST")["trafficSplit"] == {"v1": 90, "v2": 10}
    store.set_default("MNIST", "v2")
    assert store.model("MNIST").traffic == {"v1": 90, "v2": 10}
    assert store.set_traffic("MNIST", {}).traffic == {}
    assert "trafficSplit" not in store.describe("MNIST")


def test_a_split_that_cannot_be_is_refused_and_the_old_one_stays(store: serving.ModelStore, tiny_export: Path) -> None:
    store.create_version("MNIST", "v2", tiny_export)
    store.set_traffic("MNIST", {"v1": 50, "v2": 50})

    with pytest.raises(UsageError, match="sum to 90; they have to sum to 100"):
        store.set_traffic("MNIST", {"v1": 80, "v2": 10})
    with pytest.raises(UsageError, match="whole percentage"):
        store.set_traffic("MNIST", {"v1": 99.5, "v2": 0.5})  # type: ignore[dict-item]
    with pytest.raises(UnknownModelError, match=r"no MNIST version 'v22'\. Did you mean 'v2'"):
        store.set_traffic("MNIST", {"v1": 50, "v22": 50})

    assert store.model("MNIST").traffic == {"v1": 50, "v2": 50}


def test_a_version_with_a_share_is_not_deleted_and_one_with_none_is(
    store: serving.ModelStore, tiny_export: Path
) -> None:
    store.create_version("MNIST", "v2", tiny_export)
    store.set_traffic("MNIST", {"v1": 90, "v2": 10})

    with pytest.raises(ModelError, match=r"'v2' has 10 percent .*mlhelpers models set-traffic MNIST v1=100"):
        store.delete_version("MNIST", "v2")
    store.set_traffic("MNIST", {"v1": 100, "v2": 0})
    store.delete_version("MNIST", "v2")

    assert store.model("MNIST").traffic == {"v1": 100}
    with pytest.raises(ModelError, match="mlhelpers models set-traffic MNIST --clear"):
        store.delete_version("MNIST", "v1")
    store.set_traffic("MNIST", {})
    store.delete_version("MNIST", "v1")


def test_a_split_over_a_version_that_is_gone_is_no_split(store: serving.ModelStore, tiny_export: Path) -> None:
    store.create_version("MNIST", "v2", tiny_export)
    store.set_traffic("MNIST", {"v1": 90, "v2": 10})
    shutil.rmtree(store.version("MNIST", "v2").folder.parent)

    assert store.model("MNIST").traffic == {}


def test_trust_in_a_pickle_is_the_owners_word_and_lies_outside_the_models_folder(
    store: serving.ModelStore, own_export: Path
) -> None:
    (own_export / "version.json").write_text('{"trustPickle": true}')

    assert not store.create_version("MNIST", "v2", own_export).trust_pickle
    assert "trustPickle" not in store.describe("MNIST", "v2")
    assert store.create_version("MNIST", "v3", own_export, trust_pickle=True).trust_pickle
    assert store.describe("MNIST", "v3")["trustPickle"] is True


def test_the_clouds_fields_are_kept_and_others_refused(store: serving.ModelStore, tiny_export: Path) -> None:
    given = {"runtimeVersion": "2.11", "machineType": "n1-standard-2", "autoScaling": {"minNodes": 1}}

    store.create_version("MNIST", "v2", tiny_export, cloud=given)

    assert given.items() <= store.describe("MNIST", "v2").items()
    with pytest.raises(UsageError, match="Did you mean 'machineType'"):
        store.create_version("MNIST", "v3", tiny_export, cloud={"machinetype": "x"})


def test_a_framework_that_the_files_are_not_of_is_refused(store: serving.ModelStore, tiny_export: Path) -> None:
    store.create_version("MNIST", "v2", tiny_export, framework="tensorflow")

    with pytest.raises(UsageError, match=r"scikit-learn was named, and .* holds model\.tflite"):
        store.create_version("MNIST", "v3", tiny_export, framework="scikit-learn")
    with pytest.raises(UsageError, match="Did you mean 'tensorflow'"):
        store.create_version("MNIST", "v3", tiny_export, framework="tensorflw")


@pytest.mark.parametrize("file", model_files())
def test_the_framework_is_read_from_the_files_in_the_services_words(file: str, tmp_path: Path) -> None:
    assert framework_of(tmp_path) == ""
    (tmp_path / file).touch()

    assert framework_of(tmp_path) in ("TENSORFLOW", "SCIKIT_LEARN", "XGBOOST")


def test_a_damaged_version_is_listed_as_failed_and_the_others_as_ready(
    store: serving.ModelStore, tiny_export: Path
) -> None:
    for name in ("v2", "v3"):
        store.create_version("MNIST", name, tiny_export)
    (store.root / "MNIST" / "versions" / "v1" / "version.json").write_text("{")
    shutil.rmtree(store.version("MNIST", "v2").folder)

    resources = {one.name: one.describe() for one in store.list_versions("MNIST")}

    assert {name: one["state"] for name, one in resources.items()} == {"v1": "FAILED", "v2": "FAILED", "v3": "READY"}
    assert "version.json is damaged" in resources["v1"]["errorMessage"]
    assert "The model's file is gone" in resources["v2"]["errorMessage"]
    assert store.model("MNIST").default_version == "v2"  # the oldest of those that say when they were made
    store.delete_version("MNIST", "v1")


def test_a_damaged_model_is_listed_with_its_fault(store: serving.ModelStore) -> None:
    store.create_model("other")
    (store.root / "MNIST" / "model.json").write_text("[]")

    assert [(one.name, bool(one.fault)) for one in store.list_models()] == [("MNIST", True), ("other", False)]
    with pytest.raises(ModelError, match="damaged: it should be a JSON object"):
        store.model("MNIST")

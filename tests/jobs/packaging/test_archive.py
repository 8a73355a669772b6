"""What is unpacked from archives that somebody gave, and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs.packaging import archive as archive_module
from mlhelpers.jobs.packaging.archive import unpack_sdist, unpack_wheel


def tar(path: Path, *entries: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                packed.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            packed.addfile(info, io.BytesIO(entry[1]))
    return path


def zipped(path: Path, entries: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in entries.items():
            packed.writestr(name, text)
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def test_a_source_distribution_unpacks_to_its_only_folder(tmp_path: Path) -> None:
    packed = tar(tmp_path / "a.tar.gz", ("a-1/setup.py", b"x"), ("a-1/a/__init__.py", b""))

    folder = unpack_sdist(packed, tmp_path / "out")

    assert folder == tmp_path / "out" / "a-1"
    assert (folder / "setup.py").read_bytes() == b"x"


@pytest.mark.parametrize(
    "entry",
    [("../out_of.py", b"x"), link("a/link", "/etc/passwd"), link("a/link", "../../up")],
    ids=["climbs", "links to root", "links up"],
)
def test_a_tar_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, entry: tuple[str, bytes] | tarfile.TarInfo
) -> None:
    with pytest.raises(UsageError, match=r"bad.tar.gz is refused: .* An honest package has no such entry"):
        unpack_sdist(tar(tmp_path / "bad.tar.gz", entry), tmp_path / "out")

    assert not (tmp_path / "out_of.py").exists()


@pytest.mark.parametrize("name", ["../out_of.py", "/tmp/out_of.py", "a/../../out_of.py", "..\\out_of.py"])
def test_a_zip_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"bad.zip is refused: its entry .* leads out of the folder"):
        unpack_sdist(zipped(tmp_path / "bad.zip", {name: "x"}), tmp_path / "out")


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr(entry, "/etc/passwd")

    with pytest.raises(UsageError, match=r"its entry 'a/link' is neither file nor folder"):
        unpack_sdist(tmp_path / "bad.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["big.tar.gz", "big.zip"])
def test_an_archive_that_grows_too_large_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(archive_module, "MAX_BYTES", 1000)
    packed = (
        tar(tmp_path / name, ("a/zeros", bytes(2000)))
        if name.endswith("gz")
        else zipped(tmp_path / name, {"a/zeros": "0" * 2000})
    )

    with pytest.raises(UsageError, match=r"is refused: unpacked it has 1 files or more and 0.0 GB or more"):
        unpack_sdist(packed, tmp_path / "out")

    assert not (tmp_path / "out" / "a").exists()


def block(kind: bytes, size: int, name: str = "a/x") -> bytes:
    """Return a raw header, for what tarfile would not write."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.USTAR_FORMAT)


def sparse_head() -> bytes:
    """Return the header of an old GNU sparse file whose table goes on in the next block."""
    head = bytearray(block(tarfile.GNUTYPE_SPARSE, 0))
    head[482], head[148:156] = 1, b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


MANY_ATTRIBUTES = b"".join(
    block(tarfile.XGLTYPE, 50_000) + b"x" * 50_176 + block(tarfile.REGTYPE, 0) for _ in range(60)
)


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (block(tarfile.XHDTYPE, 300 * 1024**2), b"x"),
        (block(tarfile.XGLTYPE, 300 * 1024**2), b"x"),
        (block(tarfile.GNUTYPE_LONGNAME, 300 * 1024**2), b"x"),
        (sparse_head(), b"1"),
        (MANY_ATTRIBUTES, b""),
    ],
    ids=["pax", "global pax", "long name", "sparse", "many"],
)
def test_a_tar_with_boundless_headers_is_refused_in_little_memory(tmp_path: Path, head: bytes, tail: bytes) -> None:
    with gzip.open(tmp_path / "bad.tar.gz", "wb", compresslevel=1) as packed:
        packed.write(head)
        for _ in range(300 if tail else 0):
            packed.write(tail * 1024**2)

    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"bad.tar.gz is refused: names and attributes alone .* no such entry"):
            unpack_sdist(tmp_path / "bad.tar.gz", tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20_000_000


def test_a_tar_with_long_names_and_attributes_for_each_file_is_taken(tmp_path: Path) -> None:
    def entry(number: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"a/{'long' * 60}/{number}.py")
        info.mtime, info.pax_headers = 1.5, {"LIBARCHIVE.xattr.com.apple.quarantine": "0" * 1000}  # as a Mac's tar does
        return info

    folder = unpack_sdist(tar(tmp_path / "a.tar.gz", *map(entry, range(300))), tmp_path / "out")

    assert len(list(folder.rglob("*.py"))) == 300


@pytest.mark.parametrize("name", ["cut.tar.gz", "cut.zip", "cut-1-py3-none-any.whl"])
def test_a_damaged_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing of the kind")
    unpack = unpack_wheel if name.endswith(".whl") else unpack_sdist

    with pytest.raises(UsageError, match=rf"{name} cannot be unpacked: .* Build it again"):
        unpack(tmp_path / name, tmp_path / "out")


def test_a_wheel_gives_its_libraries_and_names_what_it_would_install_elsewhere(tmp_path: Path) -> None:
    entries = {
        "a.py": "",
        "a-1.data/purelib/b.py": "",
        "a-1.data/platlib/c/d.py": "",
        "a-1.data/scripts/run": "",
        "a-1.data/data/share/words.txt": "",
    }
    elsewhere = unpack_wheel(zipped(tmp_path / "a-1-py3-none-any.whl", entries), tmp_path / "out")

    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert found == {"a.py", "b.py", "c/d.py"}
    assert elsewhere == ["share/words.txt"]


def test_a_wheel_for_another_machine_is_refused(tmp_path: Path) -> None:
    wheel = zipped(tmp_path / "a-1-cp27-cp27m-win32.whl", {"a.py": ""})

    with pytest.raises(UsageError, match=r"is made for cp27-cp27m-win32; this machine takes cp3.* or py3-none-any"):
        unpack_wheel(wheel, tmp_path / "out")


def test_a_wheel_with_compiled_code_for_this_machine_is_taken(tmp_path: Path) -> None:
    from packaging.tags import sys_tags

    wheel = zipped(tmp_path / f"a-1-{next(iter(sys_tags()))}.whl", {"a.py": ""})

    assert unpack_wheel(wheel, tmp_path / "out") == []
    assert os.listdir(tmp_path / "out") == ["a.py"]


def test_a_wheel_that_was_renamed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'mine.whl' is no wheel's name: it reads NAME-VERSION"):
        unpack_wheel(zipped(tmp_path / "mine.whl", {"a.py": ""}), tmp_path / "out")

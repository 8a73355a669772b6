"""The first program in a job's container: fetch the code, install it, and become the trainer.

It is sent as text (`python3 -c`) and knows nothing but Python's standard library and pip, for the image is anybody's.
A package is read from Cloud Storage's folder `/gcs`, which the service mounts, or over HTTPS with the token that the
metadata server gives; STORAGE_EMULATOR_HOST stands in for Google's address. What a hyperparameter study adds to the
arguments comes last, and so reaches the trainer.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

__all__ = ["main"]

_MOUNT = os.environ.get("MLHELPERS_MOUNT", "/gcs")
_TOKEN = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105
_ADDRESS = re.compile(r"(?:^|(?<=[=,]))gs://([^,]+)")
_TRIES = 5


def main(arguments: list[str]) -> None:
    """Install what the arguments name, and replace this process by the trainer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", action="append", default=[])
    parser.add_argument("--require", action="append", default=[])
    parser.add_argument("--module", required=True)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    told, words = parser.parse_args(arguments[:split]), arguments[split + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        install([fetched(address, folder) for address in told.package], told.require)
    if os.path.isdir(_MOUNT):
        os.environ["MLHELPERS_HOME"] = home = tempfile.mkdtemp(prefix="mlhelpers-")
        os.symlink(_MOUNT, os.path.join(home, "buckets"))
        words = [_ADDRESS.sub(lambda found: _MOUNT + "/" + found[1], word) for word in words]
    words = own_job_dir(words, os.environ.get("CLOUD_ML_TRIAL_ID", ""))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", told.module, *words])  # noqa: S606


def own_job_dir(words: list[str], trial: str) -> list[str]:
    """Return the arguments with the folder of a study's trial in place of the study's, as the old service gave it."""
    if not trial:
        return words
    found = list(words)
    for place, word in enumerate(words):
        if word.startswith("--job-dir=") or (place and words[place - 1] == "--job-dir"):
            found[place] = f"{word.rstrip('/')}/{trial}"
    return found


def fetched(address: str, folder: str) -> str:
    """Return a package as a file in a folder; its checksum, where its address has one, is verified."""
    content = read(address)
    wanted = re.search(r"/([0-9a-f]{64})/[^/]+$", address)
    if wanted and hashlib.sha256(content).hexdigest() != wanted[1]:
        sys.exit(f"{address} is damaged: its SHA-256 is {hashlib.sha256(content).hexdigest()}. Submit the job again.")
    path = os.path.join(folder, address.rpartition("/")[2])
    with open(path, "wb") as file:
        file.write(content)
    return path


def read(address: str) -> bytes:
    """Return the bytes at a gs:// address or a path."""
    bucket, _, name = address[5:].partition("/")
    path = os.path.join(_MOUNT, bucket, name) if address.startswith("gs://") else address
    if os.path.isfile(path) or not address.startswith("gs://"):
        with open(path, "rb") as file:
            return file.read()
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    host = emulator if "://" in emulator or not emulator else f"http://{emulator}"
    where = f"{host or 'https://storage.googleapis.com'}/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}"
    for tried in range(1, _TRIES + 1):
        headers = {} if host else {"Authorization": f"Bearer {token()}"}
        try:
            return asked(f"{where}?alt=media", headers)
        except urllib.error.HTTPError as error:
            if tried == _TRIES or error.code not in (408, 429, 500, 502, 503, 504):
                sys.exit(f"{address} cannot be read: HTTP {error.code}. May the job's service account read the bucket?")
        except OSError as error:
            if tried == _TRIES:
                sys.exit(f"{address} cannot be read: {error}.")
        time.sleep(2**tried / 2)
    raise AssertionError("the last try has ended above")


def token() -> str:
    """Return the access token of the machine's service account."""
    return str(json.loads(asked(_TOKEN, {"Metadata-Flavor": "Google"}))["access_token"])


def asked(address: str, headers: dict[str, str]) -> bytes:
    """Return what an address answers."""
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=120) as answer:  # noqa: S310
        return bytes(answer.read())


def install(packages: list[str], requirements: list[str]) -> None:
    """Install packages and requirements with pip, all at once; what is there already is left alone."""
    wanted = [*packages, *(one for one in requirements if not is_there(one))]
    if wanted:
        pip = [sys.executable, "-m", "pip", "install", "--no-input", "--quiet", "--disable-pip-version-check"]
        # the container is the job's own: what its image says against that is not meant for it
        ours = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_ROOT_USER_ACTION": "ignore"}
        done = subprocess.run([*pip, *wanted], env={**os.environ, **ours}, check=False)
        if done.returncode:
            sys.exit(f"pip could not install {' '.join(wanted)}: its own words stand above.")


def is_there(requirement: str) -> bool:
    """Tell whether "name>=1.2" is fulfilled; of every other form pip has to judge."""
    form = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement)
    if form is None:
        return False
    try:
        return numbers(importlib.metadata.version(form[1])) >= numbers(form[2])
    except importlib.metadata.PackageNotFoundError:
        return False


def numbers(version: str) -> list[int]:
    """Return the leading numbers of a version."""
    leading = "".join(re.findall(r"^[0-9.]*", version))
    return [int(part) for part in leading.split(".") if part]


if __name__ == "__main__":
    main(sys.argv[1:])

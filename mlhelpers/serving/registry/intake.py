"""An export on its way into the store: examined first, then copied with all that a version needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mlhelpers.serving.registry.copying import check_files, copy_files
from mlhelpers.serving.registry.documents import write_document
from mlhelpers.serving.registry.exports import find_export
from mlhelpers.serving.registry.resources import check_framework
from mlhelpers.serving.runtimes import check_trust, signature_of
from mlhelpers.serving.signature import FILE_NAME, ModelSignature

__all__ = ["Export", "copy_export", "examine"]


class Export(NamedTuple):
    """An export that may become a version.

    Attributes:
        folder: Where it is, with no symbolic link in the path.
        signature: What its model takes and gives.
    """

    folder: Path
    signature: ModelSignature


def examine(origin: str | os.PathLike[str], framework: str | None = None, trust_pickle: bool = False) -> Export:
    """Find the export at an origin, and refuse what may not become a version; nothing is copied.

    Args:
        origin: The export folder, or one of timestamps of which the newest is taken, or gs://bucket/path.
        framework: "tensorflow", "scikit-learn" or "xgboost"; None takes any.
        trust_pickle: Whether a pickle in it may be opened.

    Raises:
        UsageError: The model is of another framework.
        ModelError: There is no model, or it does not say what it takes, its folder may not be copied, or it
            is a pickle that is not trusted.
    """
    folder = find_export(origin).resolve()
    if framework is not None:
        check_framework(framework, folder)
    check_trust(folder, trust_pickle)
    signature = signature_of(folder, trust_pickle=trust_pickle)
    check_files(folder)
    return Export(folder, signature)


def copy_export(export: Export, target: Path) -> None:
    """Copy an export's files.

    Args:
        export: What `examine` returned.
        target: The folder to copy into; made.

    Raises:
        ModelError: A file of the export cannot be read.
        OSError: The copy cannot be written.
    """
    copy_files(export.folder, target)
    if not (target / FILE_NAME).exists():  # derived now, so that later readers need no framework
        write_document(target / FILE_NAME, export.signature.document)

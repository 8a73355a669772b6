"""Pickles, which are programs: opened only on their owner's word."""

from __future__ import annotations

from pathlib import Path

from mlhelpers.errors import ModelError

__all__ = ["PICKLES", "check_pickle"]

PICKLES = ("model.joblib", "model.pkl")


def check_pickle(path: Path, trusted: bool) -> None:
    """Refuse a pickle that nobody has vouched for; any other file passes. Nothing is opened.

    Args:
        path: The model's file.
        trusted: Whether the owner has said that the file may be opened. A folder never says so of itself.

    Raises:
        ModelError: It is a pickle, and is not trusted.
    """
    if path.name in PICKLES and not trusted:
        raise ModelError(
            f"{path} is a pickle and was not opened: opening a pickle runs whatever code its maker put there, with all "
            "your rights. Export the model with skops (skops.io.dump(model, 'model.skops')), which runs none; or, for "
            "a file that you made yourself, give --trust-pickle (in Python: trust_pickle=True)."
        )

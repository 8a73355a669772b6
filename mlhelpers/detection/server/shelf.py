"""The detectors that lie on this machine, as the web app offers them: visitors choose among them and fetch nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlhelpers.detection.cards import MODELS, SHIPPED, ModelCard
from mlhelpers.detection.loading import load
from mlhelpers.detection.server.choice import Choice
from mlhelpers.errors import unknown_name
from mlhelpers.settings import current, shipped_data

__all__ = ["choice_of_models"]


def choice_of_models(models: Sequence[str] = ()) -> Choice:
    """Return what the web app offers: the models named, and after them every other that is on this machine.

    A model of the old zoo that is named is downloaded when it is first used, as anywhere; one that is not named and not
    here is not offered.

    Args:
        models: Names of `MODELS`, folders or files of your own; the first is the one to begin with.

    Raises:
        UsageError: Neither a name that is known nor a path that exists.
    """
    places: dict[str, str] = {}  # name -> what `load` takes
    offered: dict[str, dict[str, Any]] = {}
    for model in [*models, *filter(_is_here, MODELS)]:
        card = MODELS.get(model)
        name = model if card else _own_name(model, offered)
        if model not in places.values():
            places[name] = model
            offered[name] = {"title": card.title, "about": _about(card)} if card else {"title": name, "about": ""}
    return Choice(offered, next(iter(offered)), lambda name: load(places[name]))


def _is_here(name: str) -> bool:
    folder = shipped_data() / "models" if MODELS[name].place == SHIPPED else current().home / "detectors"
    return (folder / name).is_dir()


def _own_name(model: str, taken: dict[str, dict[str, Any]]) -> str:
    """Return the name under which a model of somebody's own is offered; no path of the machine is shown to visitors."""
    path = Path(model).expanduser()
    if not path.exists():
        raise unknown_name("detector", model, MODELS, "Or give the path of a folder or file of your own.")
    name = path.stem if path.is_file() else os.path.basename(path.absolute())
    return name if name not in taken and name not in MODELS else _own_name_beside(name, taken)


def _own_name_beside(name: str, taken: dict[str, dict[str, Any]]) -> str:
    number = 2
    while f"{name} {number}" in taken:
        number += 1
    return f"{name} {number}"


def _about(card: ModelCard) -> str:
    facts = [f"Sees {card.input_size} pixels", f"COCO mAP {card.coco_map:g}"]
    if card.pictures_per_second:
        facts.append(f"about {card.pictures_per_second} pictures a second")
    facts.append("no licence given" if card.licence.startswith("none") else card.licence)
    return ", ".join(facts) + "."

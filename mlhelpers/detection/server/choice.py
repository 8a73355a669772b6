"""The models on offer: named by the page's selector and by requests, each loaded when it is first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.found import Detections
from mlhelpers.errors import UsageError, unknown_name

__all__ = ["Choice", "NotOfferedError", "PictureDetector"]

_KEPT = 3  # of the models used last; one of the zoo's may have half a gigabyte


class PictureDetector(Protocol):
    """What a model on offer can do."""

    def detect(self, image: NDArray[np.uint8], threshold: float = ..., limit: int = ...) -> Detections:
        """Find objects in a picture of shape (height, width, 3), uint8, red, green, blue."""


class Choice:
    """The models on offer; safe to use from several threads."""

    def __init__(
        self, offered: Mapping[str, Mapping[str, Any]], default: str, load: Callable[[str], PictureDetector]
    ) -> None:
        """Offer models.

        Args:
            offered: Name -> what the page says of it, plain data.
            default: The one that answers where a request names none.
            load: Loads a model by its name.

        Raises:
            UsageError: The default is not on offer.
        """
        if default not in offered:
            raise unknown_name("model", default, offered)
        self.offered = dict(offered)
        self.default = default
        self._load = load
        self._loaded: OrderedDict[str, PictureDetector] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = {name: threading.Lock() for name in offered}

    def named(self, name: str | None) -> str:
        """Return a name on offer, the default where None.

        Raises:
            NotOfferedError: No model of that name is on offer.
        """
        name = name or self.default
        if name not in self.offered:
            raise NotOfferedError(str(unknown_name("model", name[:60], self.offered)))
        return name

    def detector(self, name: str) -> PictureDetector:
        """Return the model of a name on offer, loaded.

        Args:
            name: As `named` gives it.
        """
        with self._loading[name]:  # who asks for the same one meanwhile waits; the others do not
            with self._lock:
                found = self._loaded.get(name)
                if found is not None:
                    self._loaded.move_to_end(name)
                    return found
            made = self._load(name)
            with self._lock:
                self._loaded[name] = made
                while len(self._loaded) > _KEPT:
                    self._loaded.popitem(last=False)
            return made


class NotOfferedError(UsageError):
    """A model that this server does not offer."""

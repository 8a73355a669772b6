"""What the predictors share that ask over HTTP, a prediction server or an endpoint: their session, and its end."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import requests

from mlhelpers.errors import ModelError, UsageError
from mlhelpers.serving.signature import ModelSignature, parse_signature

__all__ = ["TIMEOUT_S", "RemotePredictor", "time_limit"]

TIMEOUT_S = 60.0


def time_limit(timeout_s: float | None) -> float:
    """Return how long to wait for an answer in all, in seconds: `TIMEOUT_S` where None.

    Raises:
        UsageError: It is no time.
    """
    if timeout_s is None:
        return TIMEOUT_S
    if not timeout_s > 0:
        raise UsageError(f"timeout_s={timeout_s!r} is refused. Give the seconds to wait for an answer, over 0.")
    return timeout_s


class RemotePredictor:
    """A model that is asked over a session; leave the `with` block, and the session is closed."""

    def __init__(self, model: str, version: str | None, session: requests.Session, where: str) -> None:
        """Take the session over.

        Args:
            model: The model's name.
            version: A version's name, or None.
            session: Closed with the predictor.
            where: How the predictor shows where it answers, for instance "over HTTP, http://127.0.0.1:8501".
        """
        self.model = model
        self.version = version
        self._session: requests.Session | None = session
        self._where = where

    @property
    def signature(self) -> dict[str, Any]:
        """What the model takes and gives: its signature.json."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection; closing twice is fine. What is deployed stays."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _opened(self) -> requests.Session:
        if self._session is None:
            raise ModelError(f"The predictor of {self.model!r} is closed. Connect again.")
        return self._session

    def _model_signature(self) -> ModelSignature:
        return parse_signature(self.signature)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self.model + (f"/{self.version}" if self.version else "")
        return f"<Predictor {name}: {'closed' if self._session is None else self._where}>"

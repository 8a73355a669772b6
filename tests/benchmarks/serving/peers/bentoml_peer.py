"""BentoML: `bentoml serve bentoml_peer:Digits`."""

from typing import Any

import bentoml
import digits


@bentoml.service(workers=1, metrics={"enabled": False})
class Digits:
    def __init__(self) -> None:
        self.call = digits.litert()

    @bentoml.api
    def predict(self, instances: list[Any]) -> dict[str, Any]:
        return {"predictions": self.call(instances)}

"""MLServer, which speaks the V2 protocol only: `mlserver start FOLDER` with the settings that bench.py writes."""

import digits
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Digits(MLModel):
    async def load(self) -> bool:
        self.call = digits.litert()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        found = self.call(NumpyCodec.decode_input(payload.inputs[0]).tolist())
        outputs = {
            "classes": np.array([row["classes"] for row in found]),
            "probabilities": np.array([row["probabilities"] for row in found]),
        }
        encoded = [NumpyCodec.encode_output(name, array) for name, array in outputs.items()]
        return InferenceResponse(model_name=self.name, outputs=encoded)

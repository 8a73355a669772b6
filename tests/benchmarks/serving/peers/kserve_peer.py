"""kserve's model server, its V1 protocol: `python kserve_peer.py PORT`."""

import sys
from typing import Any

import digits
from kserve import Model, ModelServer


class Digits(Model):
    def __init__(self) -> None:
        super().__init__("mnist")
        self.call = digits.litert()
        self.ready = True

    async def predict(self, payload: dict[str, Any], headers: Any = None, response_headers: Any = None) -> Any:
        return {"predictions": self.call(payload["instances"])}


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, access_log_format=None).start([Digits()])

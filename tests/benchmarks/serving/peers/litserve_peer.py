"""LitServe: `python litserve_peer.py PORT`."""

import sys
from typing import Any

import digits
import litserve


class Digits(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.call = digits.litert()

    def decode_request(self, request: dict[str, Any]) -> list[Any]:
        return request["instances"]

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        return self.call(instances)

    def encode_response(self, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Digits(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")

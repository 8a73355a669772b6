"""Ask the exported network about digits, with LiteRT: python litert_digits.py model.tflite < digits."""

import json
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

run = Interpreter(sys.argv[-1]).get_signature_runner("serving_default")
digits = np.array([digit["inputs"] for digit in json.load(sys.stdin)], np.float32)
print(json.dumps(run(inputs=digits)["classes"].tolist()))

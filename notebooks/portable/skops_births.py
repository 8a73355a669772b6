"""Ask the exported pipeline about births, with scikit-learn and skops: python skops_births.py model.skops < births."""

import json
import sys

import numpy as np
import skops.io

pipeline = skops.io.load(sys.argv[-1])
columns = ("is_male", "mother_age", "plurality", "gestation_weeks")
table = np.array([[birth[name] for name in columns] for birth in json.load(sys.stdin)], object)
print(json.dumps(pipeline.predict(table).tolist()))

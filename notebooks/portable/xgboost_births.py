"""Ask the exported trees about births, with XGBoost: python xgboost_births.py model.ubj < births."""

import json
import sys

import numpy as np
import xgboost

booster = xgboost.Booster(model_file=sys.argv[-1])
words = json.loads(booster.attr("categories"))  # a tree knows a word by its place in this list
births = json.load(sys.stdin)
columns = [[words[name].index(b[name]) if name in words else b[name] for b in births] for name in booster.feature_names]
print(json.dumps(booster.inplace_predict(np.array(columns, np.float32).T).tolist()))

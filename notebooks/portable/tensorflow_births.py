"""Ask the exported SavedModel about births, with TensorFlow: python tensorflow_births.py FOLDER < births."""

import json
import sys

import tensorflow as tf

model = tf.saved_model.load(sys.argv[-1])
births = json.load(sys.stdin)
answers = model.signatures["serving_default"](**{name: tf.constant([b[name] for b in births]) for name in births[0]})
print(json.dumps(answers["predictions"].numpy()[:, 0].tolist()))

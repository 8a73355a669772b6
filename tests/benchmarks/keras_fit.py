"""The tutorial network as anybody would train it: `compile`, `fit`, Adam at 0.001, batches of 100, shuffled."""

import keras
import tensorflow as tf
from stopwatch import WANTED, Watch, pictures

from mlhelpers.trainers.mnist import RECIPES, build_model

recipe = RECIPES["tutorial"]
keras.utils.set_random_seed(WANTED.seed)
model = build_model("tutorial", recipe["dropout"])
model.compile(
    optimizer=keras.optimizers.Adam(recipe["learning_rate"]),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
images, labels = pictures("train")
test_images, test_labels = pictures("test")
classes = tf.function(lambda part: tf.argmax(model(part, training=False), 1), reduce_retracing=True)


def accuracy() -> float:
    parts = [classes(test_images[i : i + 1000, ..., None]).numpy() for i in range(0, len(test_labels), 1000)]
    return float((tf.concat(parts, 0).numpy() == test_labels).mean())


class Look(keras.callbacks.Callback):
    def on_train_begin(self, logs: object = None) -> None:
        self.watch = Watch(accuracy)

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.model.stop_training = self.watch.enough()


# quicker than handing `fit` the arrays
batches = tf.data.Dataset.from_tensor_slices((images[..., None], labels)).shuffle(len(labels), WANTED.seed)
batches = batches.batch(recipe["train_batch_size"]).prefetch(tf.data.AUTOTUNE)
model.fit(batches, epochs=1_000_000, callbacks=[Look()], verbose=0)

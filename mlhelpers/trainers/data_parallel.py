"""Training over several processes: each computes the gradients of its rows of a batch, and all apply their sum.

It is TensorFlow's MultiWorkerMirroredStrategy with ring all-reduce on CPUs, over gRPC; `model.fit` does not work on it
under Keras 3 (keras-team/keras#20585). Variables are plain ones, the same in every process, because each starts from
the chief's and adds the same sums. So checkpoints, evaluation and export are those of a process on its own.

When a process dies, the others end with an error: within seconds where its machine lives, after `_HEARTBEAT_S` where
it does not answer any more. A process that is started again does not find its way back into a running cluster: all are
started again, and go on from the chief's last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlhelpers.errors import ReplicaError, UsageError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.cluster import Cluster, Rows

__all__ = ["Workers", "build_dropout", "join"]

_HEARTBEAT_S = 20  # without a sign of life for so long, a process counts as dead
_REGISTER_S = 300  # all are waited for so long at the start: a machine may still be busy with something else

Compute = Callable[[Any, Any, float], tuple[dict[str, Any], list[Any]]]
"""(inputs, targets, weight) -> metrics by name, and the gradient of weight times the loss for each variable."""


class Workers:
    """The processes that share each batch, connected; one on its own is connected to nothing.

    Args:
        cluster: Who they are, and which of them this one is.

    Raises:
        UsageError: This process has used TensorFlow before.
        ReplicaError: The others did not come.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._strategy: Any = None
        if cluster.size > 1:
            self._tf = import_tensorflow()
            self._strategy = _connect(self._tf, cluster)
            self._sum = self._tf.function(self._sum_on_device, reduce_retracing=True)

    @property
    def is_chief(self) -> bool:
        """Return whether this process is the one that writes."""
        return self.cluster.is_chief

    def average(self, compute: Compute, rows: Rows | None) -> Callable[[Any, Any], tuple[dict[str, Any], list[Any]]]:
        """Turn a computation over this process's rows into the one over the whole batch.

        Args:
            compute: Its metrics have to be means over the rows it is given, or the same for any rows. It weighs the
                loss itself, before the gradient: what batch normalisation passes between processes is weighed, too.
            rows: This process's rows; None for all.

        Returns:
            A function of inputs and targets, to be called inside a `tf.function`.
        """
        if rows is None:
            return lambda inputs, targets: compute(inputs, targets, 1.0)
        tf, strategy, weight = self._tf, self._strategy, rows.weight

        def on_device(inputs: Any, targets: Any) -> Any:
            metrics, gradients = compute(inputs, targets, weight)
            shares = [weight * value for value in metrics.values()]
            sums = _all_reduce(tf, [*shares, *(tf.convert_to_tensor(gradient) for gradient in gradients)])
            return dict(zip(metrics, sums, strict=False)), sums[len(metrics) :]

        plain = tf.autograph.experimental.do_not_convert(on_device)
        return lambda inputs, targets: strategy.run(plain, args=(inputs, targets))

    def from_chief(self, value: float) -> float:
        """Return the chief's value, in every process; each has to call it at the same point.

        Raises:
            ReplicaError: Another process is gone.
        """
        if self._strategy is None:
            return value
        with self.watched():
            mine = value if self.is_chief else 0.0
            return float(self._sum([self._tf.constant(mine, self._tf.float64)])[0])

    def adopt(self, variables: Sequence[Any]) -> None:
        """Give Keras variables the chief's values; each process has to call it with its own ones, in the same order.

        Raises:
            ReplicaError: Another process is gone.
        """
        if self._strategy is None:
            return
        tf = self._tf
        values = [tf.convert_to_tensor(variable.value) for variable in variables]
        # whole numbers, seeds among them, travel as int64: not every kind can be summed
        sent = [value if value.dtype.is_floating else tf.cast(value, tf.int64) for value in values]
        with self.watched():
            received = self._sum(sent if self.is_chief else [tf.zeros_like(value) for value in sent])
        for variable, value in zip(variables, received, strict=True):
            variable.assign(tf.cast(value, variable.dtype))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn what TensorFlow says when another process is gone into a sentence.

        Raises:
            ReplicaError: Another process is gone.
        """
        if self._strategy is None:
            yield
            return
        errors = self._tf.errors
        gone = errors.UnavailableError, errors.AbortedError, errors.CancelledError, errors.DeadlineExceededError
        try:
            yield
        except gone as error:
            reason = next((line for line in str(error).splitlines() if "abort" in line or "unhealthy" in line), error)
            raise ReplicaError(
                f"{self.cluster.label}Another process of the cluster is gone, and training cannot go on without it. "
                f"Start all {self.cluster.size} again with the same command and TF_CONFIG: they go on from the last "
                f"checkpoint. TensorFlow says: {str(reason)[:300]}"
            ) from error

    def _sum_on_device(self, values: list[Any]) -> Any:
        tf = self._tf
        return self._strategy.run(lambda given: _all_reduce(tf, given), (values,))


@contextmanager
def join(cluster: Cluster) -> Iterator[Workers]:
    """Connect to the other processes, and stay until the chief is through.

    Has to be entered before TensorFlow does anything else in this process. All leave together: a worker that ended
    earlier, while the chief evaluates and exports, would be taken for dead.

    Args:
        cluster: Who trains together.

    Raises:
        UsageError: This process has used TensorFlow before.
        ReplicaError: The others did not come, or one of them died.
    """
    workers = Workers(cluster)
    yield workers
    if cluster.size == 1:
        return
    workers.from_chief(0.0)
    try:  # whoever comes here knows that the chief is through; the second time lets the others learn it, too
        workers.from_chief(0.0)
    except ReplicaError:
        return


def build_dropout(rate: float, rows: Rows | None) -> Any:
    """Return a dropout layer that leaves out what it would leave out in a process on its own.

    The pattern is drawn for the whole batch, and this process's rows of it are taken.

    Args:
        rate: Share of the inputs that is left out in training, 0 to under 1.
        rows: This process's rows of each batch; None for all.
    """
    from keras import layers, ops, random

    if rows is None:
        return layers.Dropout(rate)

    size, part = rows.of, rows.part

    class Dropout(layers.Dropout):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: Any, training: bool = False) -> Any:
            if not training or not self.rate:
                return inputs
            kept = random.dropout(ops.ones((size, *inputs.shape[1:])), self.rate, seed=self.seed_generator)
            return inputs * kept[part]

    return Dropout(rate)


def _all_reduce(tf: Any, values: list[Any]) -> list[Any]:
    """Sum each value over the processes; to be called inside the strategy. Values of one kind go as one package."""
    sums: list[Any] = [None] * len(values)
    for kind in dict.fromkeys(value.dtype for value in values):
        places = [k for k, value in enumerate(values) if value.dtype == kind]
        # taken up here, as a tensor from outside belongs to no device of the strategy
        package = [tf.identity(values[k]) for k in places]
        received = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, package)
        for k, value in zip(places, received, strict=True):
            sums[k] = value
    return sums


def _connect(tf: Any, cluster: Cluster) -> Any:
    from tensorflow.python.eager import context  # the only place where these times can be set

    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=_REGISTER_S * 1000,
        heartbeat_timeout_in_ms=_HEARTBEAT_S * 1000,
        coordinated_jobs=[context.coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=cluster.size)],
    )
    # one kind of replica: masters, parameter servers and evaluators are none of the all-reduce's
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.rank,
        num_accelerators={},
        rpc_layer="grpc",
    )
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=kinds.RING)
    print(f"{cluster.label}joining the {cluster.size} processes that share each batch", flush=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    except tf.errors.OpError as error:
        raise ReplicaError(
            f"{cluster.label}The processes of the cluster, {', '.join(cluster.addresses)}, did not come together in "
            f"{_REGISTER_S} seconds, or {cluster.addresses[cluster.rank]} is not free here. Start all of them, with "
            f"the same cluster in TF_CONFIG. TensorFlow says: {str(error).splitlines()[0][:300]}"
        ) from error
    except RuntimeError as error:
        raise UsageError(
            "TF_CONFIG names a cluster, but TensorFlow is in use in this process already. Start the trainer as a "
            "process of its own: python -m mlhelpers.trainers.NAME."
        ) from error

"""What the server counts, and /metrics: the counts in the form that Prometheus reads.

Counting is a few additions to plain numbers on the event loop, about a microsecond a request; only who asks for
/metrics pays for labels, text and the import of prometheus_client.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mlhelpers.serving.server.loading import Served

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["Metrics", "exposition"]

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

_Labels = tuple[str, str]  # model, version; both empty where a request reached none


class Metrics:
    """The counts. To be used from one event loop."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self.seconds: dict[_Labels, tuple[list[int], list[float]]] = {}

    def count(self, model: str, version: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            model: The model's name; empty where the request named none that exists.
            version: The version that answered; empty where none did.
            status: The answer's status.
            seconds: From head to answer.
        """
        key = (model, version, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        kept = self.seconds.get((model, version))
        if kept is None:
            kept = self.seconds[model, version] = ([0] * (len(_SECONDS) + 1), [0.0])
        kept[0][bisect_left(_SECONDS, seconds)] += 1
        kept[1][0] += seconds


def exposition(metrics: Metrics, loaded: Iterable[Served], waiting: Mapping[str, int]) -> tuple[bytes, str]:
    """Write the counts.

    Args:
        metrics: The counts.
        loaded: What is in memory, with the sizes of its calls.
        waiting: Requests that have come and are not answered yet, by model.

    Returns:
        The text and its content type.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    served = list(loaded)

    class _Collector:
        def collect(self) -> Iterable[Metric]:
            return _families(metrics, served, waiting)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())  # anything with `collect` is one
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _families(metrics: Metrics, served: list[Served], waiting: Mapping[str, int]) -> Iterable[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    version = ["model", "version"]
    requests = CounterMetricFamily("mlhelpers_requests", "Prediction requests answered", labels=[*version, "status"])
    for (model, name, status), number in metrics.requests.items():
        requests.add_metric([model, name, str(status)], number)
    seconds = HistogramMetricFamily(
        "mlhelpers_request_seconds", "Seconds from a request's head to its answer", labels=version
    )
    for labels, (counts, total) in metrics.seconds.items():
        seconds.add_metric(list(labels), _buckets(_SECONDS, counts), total[0])
    sizes = HistogramMetricFamily("mlhelpers_batch_size", "Instances in one call of a model", labels=version)
    waits = GaugeMetricFamily("mlhelpers_queue_length", "Requests that wait for a model's next call", labels=version)
    limits = GaugeMetricFamily("mlhelpers_batch_limit", "Instances that are joined at most", labels=version)
    for one in served:
        labels = (one.version.model, one.version.name)
        counts = [0] * (len(_SIZES) + 1)
        for size, number in one.calls.items():
            counts[bisect_left(_SIZES, size)] += number
        total_size = sum(size * number for size, number in one.calls.items())
        sizes.add_metric(list(labels), _buckets(_SIZES, counts), total_size)
        waits.add_metric(list(labels), len(one.queue))
        limits.add_metric(list(labels), one.queue.pace.limit)
    inside = GaugeMetricFamily("mlhelpers_requests_open", "Requests not answered yet", labels=["model"])
    for model, number in waiting.items():
        inside.add_metric([model], number)
    models = GaugeMetricFamily("mlhelpers_loaded_models", "Versions in memory", value=len(served))
    return [requests, seconds, sizes, waits, limits, inside, models]


def _buckets(bounds: Iterable[Any], counts: list[int]) -> list[tuple[str, float]]:
    """Return what Prometheus calls buckets: how many lie at or below each bound."""
    total, result = 0, []
    for bound, number in zip([*bounds, "+Inf"], counts, strict=True):
        total += number
        result.append((str(float(bound)) if bound != "+Inf" else bound, float(total)))
    return result

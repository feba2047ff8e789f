"""Metrics for Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as MEDIA_TYPE

disable_created_metrics()  # type: ignore[no-untyped-call]
__all__ = ["MEDIA_TYPE", "Metrics"]


class Metrics:
    """What is counted of one service."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "vireid_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "vireid_request_seconds",
            "Seconds from a request to its answer.",
            ("route",),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self.batches = Histogram(
            "vireid_batch_pictures",
            "Pictures of queries that went through a model together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self.working = Gauge(
            "vireid_in_work", "Searches and additions in work now.", registry=registry
        )
        self.refused = Counter(
            "vireid_refused",
            "Requests that were refused, by reason.",
            ("reason",),
            registry=registry,
        )
        self.jobs = Counter(
            "vireid_jobs", "Jobs that ended, by state.", ("state",), registry=registry
        )
        self.pictures = Gauge(
            "vireid_gallery_pictures", "Pictures of a gallery.", ("gallery",), registry=registry
        )

    def as_text(self) -> bytes:
        """Return everything in Prometheus' format."""
        return generate_latest(self._registry)

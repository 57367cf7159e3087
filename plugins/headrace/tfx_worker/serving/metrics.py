"""What the server counts, for Prometheus; TFX interpreter."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = {"registry": self._registry}
        self.requests = Counter("headrace_requests", "Requests", ("model", "version", "verb", "code"), **own)
        self.seconds = Histogram("headrace_request_seconds", "From body to answer", ("model",), buckets=_SECONDS, **own)
        self.rows = Counter("headrace_rows", "Rows that were answered for", ("model", "version"), **own)
        self.events = Counter(
            "headrace_model_events", "Deployments followed, loads that failed", ("model", "event"), **own
        )
        self.loaded = Gauge("headrace_models_loaded", "Versions in memory", **own)
        self.inflight = Gauge("headrace_requests_in_flight", "Requests that are being answered", **own)
        self.log_dropped = Counter("headrace_prediction_log_dropped", "Lines that could not be logged", **own)

        self.lines_lost = Counter("headrace_log_lines_lost", "Lines that standard output did not take", **own)

    def render(self) -> bytes:
        return bytes(generate_latest(self._registry))

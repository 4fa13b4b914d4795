"""What Prometheus reads at ``/metrics``. Names follow its conventions: base units, _total."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

#: From one commit on a quiet grid to the longest lease.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

JOBS_SUBMITTED = Counter(
    "tabgrid_jobs_submitted_total", "Jobs accepted.", ["grid"], registry=REGISTRY
)
JOBS_ENDED = Counter(
    "tabgrid_jobs_ended_total", "Jobs that ended, by state.", ["grid", "state"], registry=REGISTRY
)
JOB_SECONDS = Histogram(
    "tabgrid_job_seconds", "Submit to end.", ["grid"], buckets=SECONDS, registry=REGISTRY
)
ATTEMPTS_FAILED = Counter(
    "tabgrid_attempts_failed_total", "Attempts without a result.", ["code"], registry=REGISTRY
)
MODELS_REFUSED = Counter(
    "tabgrid_models_refused_total", "Models that a node cannot run.", ["code"], registry=REGISTRY
)
AUDITS = Counter(
    "tabgrid_audits_total", "Answers run again.", ["purpose", "verdict"], registry=REGISTRY
)
TRUST_DECISIONS = Counter(
    "tabgrid_trust_decisions_total",
    "What the trust policy would do.",
    ["decision"],
    registry=REGISTRY,
)
STALE_RESULTS = Counter(
    "tabgrid_stale_results_total", "Messages about a lease that is over.", registry=REGISTRY
)
NODES = Gauge("tabgrid_nodes", "Connected nodes.", ["backend"], registry=REGISTRY)
JOBS_QUEUED = Gauge("tabgrid_jobs_queued", "Jobs that wait for a node.", registry=REGISTRY)
JOBS_RUNNING = Gauge("tabgrid_jobs_running", "Jobs on a node.", registry=REGISTRY)
SOCKETS_CLOSED = Counter(
    "tabgrid_sockets_closed_total", "Node sockets closed by us.", ["code"], registry=REGISTRY
)
REQUESTS = Counter(
    "tabgrid_http_requests_total", "HTTP requests.", ["path", "status"], registry=REGISTRY
)

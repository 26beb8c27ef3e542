"""`/metrics` for Prometheus: what the register says of backups, clocks, storage, holds and runs, and how the service does."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from snaphold import __version__
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.domain.incident import IncidentRecord
from snaphold.domain.restore_point import RestorePoint
from snaphold.engine.run import Run
from snaphold.errors import SnapholdError
from snaphold.report.clocks import ClockName, SlaClock
from snaphold.report.measures import Measures, measure
from snaphold.report.trail_facts import TrailFacts
from snaphold.runtime import Runtime

log = logging.getLogger(__name__)
CACHED_SECONDS = 10.0
"""Between two looks at the register; a scrape in between gets the same figures."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OTHER = "other"


class Metrics(Collector):
    """The measures of one service. `written` is safe to call from several threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._facts = TrailFacts()
        self._lock = threading.Lock()
        self._seen: tuple[float, list[Metric]] | None = None
        self._board: tuple[float, Measures] | None = None
        self._board_lock = threading.Lock()
        self._renewing = False
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "snaphold_http_request_seconds",
            "Time to answer requests, by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._registry.register(self)

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. `route` is the route's pattern, never the path that somebody asked for."""
        self._requests.labels(method if method.isascii() and method.isalpha() else _OTHER, route, str(status)).observe(seconds)

    def written(self) -> bytes:
        """Return all metrics in the Prometheus text format. Raises LedgerError or StorageError when the ledger cannot be read."""
        return generate_latest(self._registry)

    def board(self) -> tuple[Measures, timedelta]:
        """Return the measures of the executive board and how old they are. Nobody waits for newer ones but the first."""
        with self._board_lock:
            if self._board is None:
                self._board = (time.monotonic(), self._measure_board())
            elif time.monotonic() - self._board[0] > CACHED_SECONDS and not self._renewing:
                self._renewing = True
                threading.Thread(target=self._renew_board, daemon=True, name="board").start()
            at, found = self._board
        return found, timedelta(seconds=time.monotonic() - at)

    def _renew_board(self) -> None:
        try:
            found = self._measure_board()
            with self._board_lock:
                self._board = (time.monotonic(), found)
        except SnapholdError as error:
            log.error("the board cannot be measured anew: %s: %s", error.what, error.why)
        finally:
            self._renewing = False

    def _measure_board(self) -> Measures:
        from snaphold.service.pages.views import board_period

        now = self._runtime.clock.now()
        with self._lock:
            return measure(self._runtime.configuration, self._runtime.ledger, *board_period(now), now, self._facts)

    def describe(self) -> list[Metric]:
        """Return nothing: the registry would otherwise read the ledger at the start."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what the register says; at most `CACHED_SECONDS` old."""
        with self._lock:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] > CACHED_SECONDS:
                self._seen = (now, list(self._look()))
            yield from self._seen[1]

    def _look(self) -> Iterator[Metric]:
        ledger, now = self._runtime.ledger, self._runtime.clock.now()
        declared = [record.declared.declared_at for record in ledger.records(IncidentRecord)]
        since = min(declared, default=now)
        found = measure(self._runtime.configuration, ledger, since, _after(now, declared), now, self._facts)
        yield InfoMetricFamily("snaphold", "The version of the service.", {"version": __version__})
        yield _gauge("snaphold_ledger_entries", "Entries of the audit trail.", self._facts.sequence)
        yield from _of_backups(found)
        yield from _of_clocks(found.clocks)
        stored = GaugeMetricFamily("snaphold_stored_bytes", "Source data in restore points, in bytes.", labels=["pool"])
        sizes: Counter[str] = Counter()
        for point in ledger.records(RestorePoint):
            sizes[point.pool] += point.size
        for pool, size in sorted(sizes.items()):
            stored.add_metric([pool], size)
        yield stored
        yield _gauge("snaphold_open_holds", "Legal holds that are not released.", found.open_holds)
        waiting = sum(1 for one in ledger.records(Approval) if one.state is ApprovalState.WAITING)
        yield _gauge("snaphold_approvals_waiting", "Approval requests that nobody has answered.", waiting)
        runs = GaugeMetricFamily("snaphold_runs", "Runs of playbooks, by status.", labels=["status"])
        for status, count in sorted(Counter(run.status.value for run in ledger.records(Run)).items()):
            runs.add_metric([status], count)
        yield runs


def _after(now: datetime, declared: list[datetime]) -> datetime:
    """Return the end of the period that holds every incident, also one whose declaration lies ahead by a wrong clock."""
    return max([now, *declared]) + timedelta(seconds=1)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _of_backups(found: Measures) -> Iterator[Metric]:
    yield CounterMetricFamily("snaphold_incidents", "Incidents that were declared.", value=found.incidents)
    backups = CounterMetricFamily("snaphold_backups", "Incident backups that ended, by outcome.", labels=["outcome"])
    counts: dict[str, Any] = found.backups.model_dump()
    for outcome in ("succeeded", "partial", "failed", "unknown"):
        backups.add_metric([outcome], counts[outcome])
    yield backups
    yield _gauge("snaphold_backups_unfinished", "Incident backups that were asked for and have not ended.", counts["unfinished"])


def _of_clocks(clocks: tuple[SlaClock, ...]) -> Iterator[Metric]:
    states = GaugeMetricFamily("snaphold_sla_clocks", "Clocks of the backup team, by state.", labels=["clock", "tier", "state"])
    for (name, tier, state), count in sorted(Counter((c.name.value, c.tier, c.state.value) for c in clocks).items()):
        states.add_metric([name, tier, state], count)
    yield states
    times = SummaryMetricFamily(
        "snaphold_time_to_backup_seconds", "From the declaration to an asset's first whole restore point.", labels=["tier"]
    )
    stopped: dict[str, list[float]] = {}
    for clock in clocks:
        if clock.name is ClockName.PROTECT and clock.stopped_at is not None:
            stopped.setdefault(clock.tier, []).append(clock.seconds)
    for tier, seconds in sorted(stopped.items()):
        times.add_metric([tier], count_value=len(seconds), sum_value=sum(seconds))
    yield times

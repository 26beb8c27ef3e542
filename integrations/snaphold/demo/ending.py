"""What the demonstration leaves behind: the finished report, and the stock commands that check the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snaphold.demo.engines import Engine, restore_commands
from snaphold.demo.estate import REQUESTER, SHARE_ASSET, Estate
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import LedgerError
from snaphold.runtime import Runtime, load_incident, open_runtime


@dataclass(frozen=True)
class Ending:
    """Where things are (absolute paths), and the commands to check them, run from the estate's folder."""

    evidence: Path
    trust: Path
    report: Path
    repository: Path
    ledger: Path
    commands: tuple[str, ...]


def find_restore_point(estate: Estate, asset: str) -> RestorePoint:
    """Return the asset's restore point. Raises LedgerError when there is none."""
    return _restore_point(open_runtime(estate.configuration, REQUESTER), asset)


def _restore_point(runtime: Runtime, asset: str) -> RestorePoint:
    for point in runtime.ledger.records(RestorePoint):
        if point.asset == asset:
            return point
    raise LedgerError(f"the ledger has no restore point of {asset}")


def finish(estate: Estate, engine: Engine) -> Ending:
    """Write `report.html` with everything that was done, and return where things are."""
    from snaphold.actions.report import REPORT_NAME, write_report
    from snaphold.report.collect import check_commands, collect
    from snaphold.report.page import render

    runtime = open_runtime(estate.configuration, REQUESTER)
    records = runtime.ledger.records(EvidenceRecord)
    if not records:
        raise LedgerError("the ledger has no sealed evidence")
    record, point = records[-1], _restore_point(runtime, SHARE_ASSET)
    report = estate.folder / REPORT_NAME
    write_report(render(collect(runtime.context(load_incident(estate.incident)))), report)
    enter, *checks = check_commands(runtime.configuration, record)
    together = " && ".join((enter, checks[0])), " && ".join((enter, *checks[1:]))
    return Ending(
        evidence=Path(record.path),
        trust=runtime.configuration.path(runtime.configuration.evidence.trust),
        report=report,
        repository=runtime.configuration.path(f"pools/{point.pool}/{point.incident}"),
        ledger=runtime.configuration.state_folder / "ledger.sqlite",
        commands=(*(f"({command})" for command in together), *restore_commands(engine, point)),
    )

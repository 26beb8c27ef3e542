"""A playbook with every construct of the language, and one that it calls; for tests of compile targets."""

from __future__ import annotations

from pathlib import Path

from snaphold.playbook.load import LoadedPlaybook, read_playbook

EVERYTHING = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: everything
  id: playbook--22222222-2222-4222-8222-222222222222
  version: "2.3.4"
  change_record: CHG0000042
  severity: 70
  on_error: last
  description: Uses every construct.
  created: "2026-11-01T00:00:00Z"
  modified: "2026-11-22T00:00:00Z"
inputs:
  incident_id: {type: string, default: ""}
  assets: {type: list, required: true}
  limit: {type: integer, default: 5}
  bold: {type: boolean, default: false}
steps:
  - id: classify
    do: triage.classify_assets
    with: {assets: $inputs.assets}
    out: {assets: list, top_tier: string, top_level: integer}
    on_error: {run: note, then: continue}
  - id: order
    title: Order <them> & "all"
    do: triage.order_by_dependency
    with: {assets: $inputs.assets}
    out: {waves: list, ordered: list}
    on_error: note
  - id: capacity
    do: backup.check_capacity
    with: {assets: [orders-db, $order.ordered]}
    out: {fits: boolean, free_bytes: integer}
    retry: {attempts: 3, every: 5s}
    timeout: 5m
  - id: outer
    if: $capacity.fits == false or $capacity.free_bytes <= 1000
    then:
      - id: inner
        if: $inputs.bold == false and $capacity.fits != true
        then:
          - {id: too_small, stop: "No room for $order.ordered; it's $$5."}
        else:
          - {id: bold_report, do: report.summary}
    else:
      - id: side_by_side
        parallel:
          - - {id: seal, do: evidence.seal, out: {evidence: string}}
            - {id: check, do: evidence.verify, with: {evidence: $seal.evidence}, out: {status: string}}
          - - {id: keep, do: hold.place, with: {reason: "Incident $inputs.incident_id"}, on_error: note}
      - id: by_status
        switch: $check.status
        cases:
          verified:
            - {id: done_well, do: report.summary}
          failed:
            - {id: bad_seal, stop: The seal is broken.}
        default:
          - {id: other, do: report.summary}
  - id: gate
    title: May it go on?
    approve:
      ask: "Back up $order.ordered (limit $inputs.limit)?"
      from: group/incident-managers
      within: 15m
      escalate: {to: individual/cleo, within: 10m}
      quorum: 2
      grants: {role: backup-emergency, for: 2h}
    on_denied: note
    on_timeout: stop
  - id: soft_gate
    approve: {ask: "Shall it be told?", from: group/incident-managers, within: 5m}
    on_denied: continue
    on_timeout: last
  - id: each
    call: asset-job
    for_each: $order.waves
    at_once: 4
    with: {assets: $item, asset: orders-db}
    on_error: {run: note, then: continue}
  - id: once
    call: asset-job
    with: {assets: $inputs.assets, asset: files-01}
  - {id: report, do: report.summary}
handlers:
  note:
    - {id: note_read, do: backup.check_health, with: {assets: orders-db}, out: {healthy: boolean}}
    - id: note_if
      if: $note_read.healthy == false
      then:
        - {id: note_stop, stop: Nothing is healthy.}
    - {id: note_report, do: report.summary}
  last:
    - {id: last_read, do: evidence.verify, with: {evidence: EV-1}, out: {status: string}}
    - id: last_if
      if: $last_read.status == "verified"
      then:
        - {id: last_hold, do: hold.place, with: {reason: Kept}}
    - {id: last_report, do: report.summary}
"""

ASSET_JOB = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: asset-job
  id: playbook--33333333-3333-4333-8333-333333333333
  version: "1.0.0"
  change_record: CHG0000043
  on_error: part_last
inputs:
  incident_id: {type: string, default: ""}
  assets: {type: list, required: true}
  asset: {type: string, required: true}
steps:
  - id: start
    title: Back up
    do: backup.start
    with: {asset: $inputs.asset}
    out: {pool: string, job: string, restore_point: string}
    poll:
      do: backup.status
      with: {asset: $inputs.asset, pool: $start.pool, job: $start.job}
      until: $result.state == "done"
      fail: $result.state == "failed"
      every: 2s
      within: 10s
  - id: verify
    do: backup.verify
    with: {restore_point: $start.restore_point}
    out: {verified: boolean}
  - id: verify_gate
    if: $verify.verified == false
    then:
      - id: part_gate
        approve: {ask: Keep it, from: individual/ana, within: 1h}
handlers:
  part_last:
    - {id: part_report, do: report.summary}
"""


def everything() -> tuple[LoadedPlaybook, dict[str, LoadedPlaybook]]:
    """Return the playbook and what it calls."""
    part = read_playbook(ASSET_JOB, Path("parts/asset-job.yaml"))
    return read_playbook(EVERYTHING, Path("everything.yaml")), {"asset-job": part}

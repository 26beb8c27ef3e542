"""`snaphold audit`: exit codes, exact exports that a stranger can re-check, tables that cannot be turned into formulas."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from snaphold.cli.main import main
from snaphold.clock import FixedClock
from snaphold.config import Configuration
from snaphold.identity import current_login
from snaphold.ledger import open_ledger
from snaphold.ledger.checkpoint import make_checkpoint
from snaphold.ledger.database import ledger_path
from snaphold.ledger.export import safe_cell
from support.ledgers import NOW, actor, configure, note, tamper
from support.needs import need_program

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/reference/audit-trail.md"
Snaphold = Callable[..., tuple[int, str, str]]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """A configuration file, and a ledger with three entries and a checkpoint."""
    people = [{"id": "ana", "name": "Ana Ruiz", "logins": [current_login()]}]
    configuration = configure(tmp_path, people=people, roles=[{"name": "analyst", "members": ["ana"], "may": ["*"]}])
    document = configuration.model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "snaphold.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    ledger = open_ledger(configuration, FixedClock(NOW))
    ledger.append(note(justification='=HYPERLINK("http://evil")\u2028next', detail={"findings": ["caf\u00e9 \udce9\u200b"]}))
    ledger.append(note(incident="INC-2"))
    make_checkpoint(ledger, configuration, actor(configuration))
    ledger.close()
    return configuration


@pytest.fixture
def snaphold(configuration: Configuration, capfdbinary: pytest.CaptureFixture[bytes]) -> Snaphold:
    """Run `snaphold audit ...` and return exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["audit", *words, "--config", str(configuration.base / "snaphold.yaml")])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


def test_a_good_trail_verifies(snaphold: Snaphold) -> None:
    code, out, _ = snaphold("verify")
    assert code == 0
    assert re.search(r"status +verified", out)
    code, out, _ = snaphold("verify", "--json")
    document = json.loads(out)
    assert (code, document["status"], document["entries"], document["entries_after_checkpoint"]) == (0, "verified", 3, 0)


def test_a_fault_is_named_and_the_exit_code_is_1(snaphold: Snaphold, configuration: Configuration) -> None:
    tamper(ledger_path(configuration), ("update entry set body = replace(body, 'ana', 'eve') where sequence = 2", ()))
    code, out, _ = snaphold("verify", "--json")
    document = json.loads(out)
    assert (code, document["status"], document["first_bad"]) == (1, "failed", 2)
    code, out, _ = snaphold("verify")
    assert code == 1
    assert "entry 2 was changed" in out


def test_a_cut_tail_is_named(snaphold: Snaphold, configuration: Configuration) -> None:
    tamper(ledger_path(configuration), ("delete from entry where sequence > 1", ()))
    code, out, _ = snaphold("verify")
    assert code == 1
    assert "the tail was cut off: the checkpoint says 3 entries, there are 1" in out


def test_what_cannot_be_checked_gives_3(snaphold: Snaphold, configuration: Configuration) -> None:
    (configuration.base / "trust/allowed_signers").unlink()
    code, out, _ = snaphold("verify")
    assert code == 3
    assert "allowed_signers does not exist" in out


def test_a_ledger_that_is_gone_is_not_made_anew(snaphold: Snaphold, configuration: Configuration) -> None:
    for path in ledger_path(configuration).parent.glob("ledger.sqlite*"):
        path.unlink()
    code, _, err = snaphold("verify")
    assert code == 1
    assert "there is no ledger" in err
    assert not ledger_path(configuration).exists()


def test_the_checkpoint_that_was_kept_elsewhere_is_compared(
    snaphold: Snaphold, configuration: Configuration, tmp_path: Path
) -> None:
    code, out, _ = snaphold("checkpoint", "--out", str(tmp_path / "safe"), "--json")
    document = json.loads(out)
    assert (code, document["entries"]) == (0, 4)
    kept = document["path"]
    assert snaphold("verify", "--checkpoint", kept)[0] == 0
    rolled_back = ("delete from entry where sequence > 3", "delete from checkpoint where entries > 3")
    tamper(ledger_path(configuration), *[(statement, ()) for statement in rolled_back])
    assert snaphold("verify")[0] == 0
    code, out, _ = snaphold("verify", "--checkpoint", kept)
    assert code == 1
    assert "the tail was cut off: a kept checkpoint says 4 entries, there are 3" in out


def test_stock_ssh_keygen_checks_a_checkpoint(snaphold: Snaphold, configuration: Configuration, tmp_path: Path) -> None:
    program = need_program("ssh-keygen")
    _, out, _ = snaphold("checkpoint", "--out", str(tmp_path / "safe"), "--json")
    kept = Path(json.loads(out)["path"])
    argv = [
        program, "-Y", "verify", "-f", str(configuration.base / "trust/allowed_signers"), "-I", "custodian@snaphold",
        "-n", "ledger@snaphold", "-s", f"{kept}.sig", "-Overify-time=20261122190000Z",
    ]  # fmt: skip
    assert subprocess.run(argv, stdin=kept.open("rb"), check=False, capture_output=True).returncode == 0


def recipe() -> str:
    """Return the check that the documentation prints."""
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[0]


def stranger(trail: bytes) -> tuple[int, str]:
    """Run the documented check on an export, with nothing but Python."""
    done = subprocess.run([sys.executable, "-I", "-c", recipe()], input=trail, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_a_stranger_re_checks_the_export_with_the_documented_lines(snaphold: Snaphold, tmp_path: Path) -> None:
    assert len(recipe().splitlines()) <= 12
    out = tmp_path / "trail.jsonl"
    assert snaphold("export", "--out", str(out))[0] == 0
    code, told = stranger(out.read_bytes())
    assert code == 0
    _, checkpoint, _ = snaphold("verify", "--json")
    assert told == f"entries: 3\nhead: {json.loads(checkpoint)['head']}\n"
    for old, new in ((b'"actor":"ana"', b'"actor":"eve"'), (b"caf", b"caF")):
        assert stranger(out.read_bytes().replace(old, new, 1)) == (1, "entry 1 is not what was written\n")
    lines = out.read_bytes().splitlines(keepends=True)
    assert stranger(b"".join(lines[1:]))[0] == 1
    assert stranger(b"".join([lines[0], lines[2]]))[0] == 1


def test_standard_output_and_file_are_the_same_bytes(snaphold: Snaphold, tmp_path: Path) -> None:
    for kind in ("jsonl", "csv"):
        out = tmp_path / f"trail.{kind}"
        _, printed, _ = snaphold("export", "--format", kind)
        snaphold("export", "--format", kind, "--out", str(out))
        assert out.read_bytes().decode() == printed
        assert out.stat().st_mode & 0o777 == 0o600


def test_no_cell_of_a_csv_export_is_a_formula(snaphold: Snaphold) -> None:
    _, out, _ = snaphold("export", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert len(rows) == 3
    assert rows[0]["justification"].startswith("'=HYPERLINK")
    assert json.loads(rows[0]["detail"])["findings"] == ["caf\u00e9 \\udce9\u200b"]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "  =1", "\r=1", "\n=1", "|calc", "%x"])
def test_whatever_a_spreadsheet_would_calculate_gets_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "INC-1", "12", "{}"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


def test_one_incident_is_listed_and_exported(snaphold: Snaphold) -> None:
    _, out, _ = snaphold("list", "--incident", "INC-2")
    assert out.splitlines()[0].split()[:3] == ["SEQUENCE", "AT", "EVENT"]
    assert len(out.splitlines()) == 2
    _, out, _ = snaphold("export", "--incident", "INC-2")
    assert [json.loads(line)["sequence"] for line in out.splitlines()] == [2]
    _, out, _ = snaphold("list", "--json")
    assert [entry["event"] for entry in json.loads(out)["entries"]] == ["intent", "intent", "checkpoint"]


def test_an_export_to_a_folder_that_is_not_there_leaves_nothing(snaphold: Snaphold, tmp_path: Path) -> None:
    code, _, err = snaphold("export", "--out", str(tmp_path / "no/such/trail.jsonl"))
    assert code == 1
    assert "cannot be written" in err
    assert "Traceback" not in err


def test_reading_needs_no_role(snaphold: Snaphold, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any) -> Any:
        raise AssertionError("the actor was asked for")

    monkeypatch.setattr("snaphold.identity.resolve_actor", nobody)
    for part in ("verify", "list", "export"):
        assert snaphold(part)[0] == 0

"""The runbook: every command line is taken by the real parser, every number leads somewhere, the page needs nothing else."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from snaphold.action import catalogue, find_action
from snaphold.cli.main import build_parser
from snaphold.cli.parsers import parse
from snaphold.playbook.load import LoadedPlaybook, load_parts, read_playbook
from snaphold.targets.base import Output
from snaphold.targets.consoles import PATHS
from snaphold.targets.runbook import compile_runbook
from snaphold.targets.runbook_steps import Entry, consoles_of, sections_of
from support.every_construct import EVERYTHING, everything
from support.needs import need_program
from support.playbooks import read_trial, shipped, shipped_files

SHIPPED = [path.stem for path in shipped_files()]


def all_entries(loaded: LoadedPlaybook, parts: dict[str, LoadedPlaybook]) -> list[Entry]:
    return [entry for section in sections_of(loaded, parts, catalogue()) for entry in section.entries]


def entry(number: int) -> Entry:
    return next(found for found in all_entries(*everything()) if found.number == number)


def titled(title: str) -> Entry:
    return next(found for found in all_entries(*everything()) if found.title == title)


def ways(found: Entry) -> dict[str, str]:
    return {way.when: way.then for way in found.ways}


def trial(body: str) -> Output:
    return compile_runbook(read_trial(body), {})


def every_set() -> list[tuple[LoadedPlaybook, dict[str, LoadedPlaybook]]]:
    return [everything(), *((shipped(name), load_parts(shipped(name))) for name in SHIPPED)]


def test_the_real_parser_takes_every_command_line() -> None:
    parser = build_parser("do")
    seen = 0
    for loaded, parts in every_set():
        for found in all_entries(loaded, parts):
            if found.command:
                words = shlex.split(found.command.text.replace("\\\n", ""))
                assert words[:2] == ["snaphold", "do"]
                assert parse(parser, words[1:]).action == words[2]
                seen += 1
    assert seen > 50


def test_numbers_run_through_and_every_step_that_is_named_exists() -> None:
    for loaded, parts in every_set():
        found = all_entries(loaded, parts)
        numbers = [one.number for one in found]
        assert numbers == list(range(1, len(found) + 1))
        texts = [
            text for one in found for text in (*one.say, *(way.then for way in one.ways), one.command.text if one.command else "")
        ]
        named = {int(number) for text in texts for number in re.findall(r"[Ss]tep (\d+)", text)}
        assert named <= set(numbers)


def test_every_step_but_the_first_is_led_to() -> None:
    loaded, parts = everything()
    found = all_entries(loaded, parts)
    texts = [text for one in found for text in (*one.say, *(way.then for way in one.ways))]
    led_to = {int(number) for text in texts for number in re.findall(r"[Ss]tep (\d+)", text)}
    assert {one.number for one in found} - led_to == {1}


def test_version_change_record_and_digest_stand_in_the_header() -> None:
    loaded, parts = everything()
    output = compile_runbook(loaded, parts)
    for name in ("everything.md", "everything.html"):
        text = output.files[name].decode()
        for wanted in ("2.3.4", "CHG0000042", loaded.digest, "Pre-approved", "Owner", parts["asset-job"].digest):
            assert wanted in text, (name, wanted)


def test_a_decision_names_both_ways() -> None:
    assert ways(titled("Outer")) == {
        "If fits of step 3 is false or free_bytes of step 3 is at most 1000": "Go to step 5.",
        "Otherwise": "Go to step 8.",
        "If a value is missing": "Go to step 25. Then the playbook has failed: stop.",
    }


def test_a_switch_names_every_case() -> None:
    assert list(ways(titled("By status"))) == ["If it is verified", "If it is failed", "If it is anything else"]


def test_a_failure_that_is_survived_goes_on_after_its_handler() -> None:
    assert ways(entry(1))["It failed, or nobody knows (any other exit code)"] == "Go to step 21. After that: go to step 2."


def test_a_handled_failure_stops_after_its_handler() -> None:
    assert ways(entry(2))["It failed, or nobody knows (any other exit code)"] == (
        "Go to step 21. After that: stop. Nobody goes on with this playbook."
    )


def test_a_step_that_may_be_repeated_says_how_often() -> None:
    assert entry(3).say == (
        "Check that backups fit.", "Wait at most 5m.", "If it fails, try again after 5s, up to 2 times.",
    )  # fmt: skip


def test_a_gate_says_who_is_asked_how_long_and_what_follows() -> None:
    found = titled("May it go on?")
    assert found.say[:3] == (
        "Ask the group incident-managers: “Back up <ordered of step 2> (limit <the input limit>)?”",
        "Needed: 2 approvals, each by another person.",
        "Whoever started this may not answer.",
    )
    assert ways(found) == {
        "Approved": "Go to step 17.",
        "Denied, also by only one": "Go to step 21. After that: stop. Nobody goes on with this playbook.",
        "Nobody answers within 15m": "Ask cleo the same, and wait 10m more.",
        "They do not answer within 10m either": "Stop. Nobody goes on with this playbook.",
    }
    assert ("role ends at", "time") in found.write_down


def test_a_job_is_asked_about_until_it_ends() -> None:
    found = titled("Wait: Back up")
    assert found.say[0] == f"Ask every 2s, for at most 10s, how the job of step {found.number - 1} stands."
    assert list(ways(found)) == ["If the state is done", "If the state is failed", "Neither within 10s"]
    assert found.write_down == (("restore_point", "text"),)


def test_what_the_job_gave_is_looked_up_where_it_was_written_down() -> None:
    found = titled("Verify")
    assert found.command
    assert f"<restore_point of step {titled('Wait: Back up').number}>" in found.command.text


def test_a_part_is_followed_for_each_item() -> None:
    found = titled("Each")
    begin = titled("Back up").number
    assert found.say == (
        "Do this for each item of waves of step 2, at most 4 at a time. Tick off each item. An empty list is a failure.",
        "After an item that failed begin no further one.",
        f"Follow the part asset-job from step {begin}, with assets = <the item>; asset = orders-db.",
    )


def test_lists_side_by_side_wait_for_each_other() -> None:
    found = titled("Side by side")
    assert ways(found)["All are finished"] == "Go to step 12."
    assert ways(titled("Keep"))["It worked (exit code 0, or 3: write down the findings)"] == (
        f"Wait for the other lists of step {found.number}. Go to step 12."
    )


def test_what_writes_needs_a_reason_and_what_reads_does_not() -> None:
    for found in all_entries(*everything()):
        if found.command:
            writes = find_action(found.command.text.split()[2]).effect.value != "reads"
            assert ("--justification" in found.command.text) is writes


def test_the_console_path_of_an_action_is_shown() -> None:
    actions = dict(catalogue())
    actions["report.summary"] = replace(actions["report.summary"], console="Reports > Incident > New")
    (section,) = sections_of(read_trial("steps:\n  - {id: a, do: report.summary}\n"), {}, actions)
    assert section.entries[0].console == "Reports > Incident > New"


def test_a_gate_says_how_the_question_is_put_answered_and_how_its_role_is_taken() -> None:
    assert compile_runbook(*everything()).losses == ()
    gate = titled("May it go on?")
    assert gate.command
    assert "snaphold do approval.ask" in gate.command.text
    assert "--role backup-emergency" in gate.command.text
    told = " ".join(gate.say)
    assert "`snaphold approvals approve <approval> --reason <why>`" in told
    assert "`snaphold do authority.issue_grant --incident incident.json --justification <why> --approval <approval>`" in told


class Page(HTMLParser):
    """Notes what a page would load, and whether its elements close."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loads += [tag] if tag in ("script", "img", "link", "iframe", "object") or "src" in found else []
        self.anchors.add(found.get("id") or "")
        self.links |= {str(found["href"])} if "href" in found else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_its_links_lead_to_steps() -> None:
    for loaded, parts in every_set():
        page = Page()
        page.feed(compile_runbook(loaded, parts).files[f"{loaded.playbook.name}.html"].decode())
        assert page.open == []
        assert page.loads == []
        assert page.links
        assert {link.removeprefix("#") for link in page.links} <= page.anchors


def test_text_of_the_playbook_is_never_markup() -> None:
    hostile = EVERYTHING.replace('title: Order <them> & "all"', "title: <script>alert(1)</script>")
    loaded = read_playbook(hostile, Path("everything.yaml"))
    page = compile_runbook(loaded, everything()[1]).files["everything.html"].decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_quotation_marks_in_a_reason_stay_inside_the_command() -> None:
    text = trial('steps:\n  - {id: a, do: hold.place, with: {reason: "it\'s $$5; rm -rf /"}}\n').files["trial.md"].decode()
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert shlex.split(block.replace("\\\n", ""))[-1] == "it's $5; rm -rf /"


@pytest.mark.slow
def test_the_page_prints_on_several_sheets(tmp_path: Path) -> None:
    chromium = need_program("chromium")
    (tmp_path / "page.html").write_bytes(compile_runbook(*everything()).files["everything.html"])
    import subprocess

    # A profile of its own: with one of another process at work, chromium hands the page on to that and prints nothing.
    own = [f"--user-data-dir={tmp_path / 'profile'}", "--disable-dev-shm-usage"]
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", *own, f"--print-to-pdf={tmp_path / 'page.pdf'}"]
    subprocess.run([*command, (tmp_path / "page.html").as_uri()], check=True, capture_output=True, timeout=280)
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") > 3


def test_the_consoles_of_the_products_stand_at_the_end_and_say_that_nobody_has_walked_them() -> None:
    files = compile_runbook(*everything()).files
    text = next(content for name, content in files.items() if name.endswith(".md")).decode()
    appendix = text.partition("## Consoles")[2]
    assert "not verified in a console" in appendix
    for product in ("Veeam Backup & Replication", "Commvault Command Center", "AWS Backup", "vSphere Client"):
        assert f"| `backup.start` | {product} |" in appendix
    assert "In the vendor's console: see Consoles at the end, under backup.start" in text
    page = next(content for name, content in files.items() if name.endswith(".html")).decode()
    assert "VeeamZIP" in page


def test_every_path_belongs_to_an_action_and_a_playbook_without_products_has_no_appendix() -> None:
    assert set(PATHS) <= set(catalogue())
    assert consoles_of(sections_of(read_trial("steps:\n  - {id: a, do: report.summary}\n"), {}, catalogue())) == []

"""The reference pages that are generated."""

from __future__ import annotations

from snaphold.action import catalogue
from snaphold.cli.main import EXIT_CODES, build_parser
from snaphold.cli.reference import cli_reference
from snaphold.cli.words import places_of
from snaphold.targets.docs import actions_reference, table
from support.golden import Golden


def test_the_reference_of_actions_is_up_to_date(golden: Golden) -> None:
    golden.check("docs/reference/actions.md", actions_reference(catalogue()))


def test_the_reference_of_the_command_line_is_up_to_date(golden: Golden) -> None:
    page = cli_reference(places_of(build_parser("*")), EXIT_CODES)
    assert "%(" not in page
    golden.check("docs/reference/cli.md", page)


def test_every_action_has_its_section() -> None:
    page = actions_reference(catalogue())
    assert [name for name in catalogue() if f"\n## {name}\n" not in page] == []


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(("a",), [("x|y",)])[-1] == "| x\\|y |"

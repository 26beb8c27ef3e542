"""The page of the REST API, and the commands of the how-to that goes with it."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

from snaphold.cli.main import build_parser
from snaphold.cli.words import places_of
from snaphold.service.app import build_app
from snaphold.service.callers import Service
from snaphold.service.reference import rest_reference
from support.golden import ROOT, Golden


def test_the_reference_of_the_rest_api_is_up_to_date(golden: Golden) -> None:
    document = build_app(cast("Service", SimpleNamespace(runtime=None, driver=None))).openapi()
    golden.check("docs/reference/rest-api.md", rest_reference(document))


def test_every_option_that_the_how_to_names_exists() -> None:
    page = (ROOT / "docs/how-to/run-the-service.md").read_text(encoding="utf-8")
    places = [place for place in places_of(build_parser("*")) if place.path[:1] in (("serve",), ("token",))]
    known = {name for place in places for option in place.options for name in option.names}
    named = {word for line in re.findall(r"snaphold (?:serve|token)[^\n`]*", page) for word in re.findall(r"--[a-z-]+", line)}
    assert named
    assert named <= known

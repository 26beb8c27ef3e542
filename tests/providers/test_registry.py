from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.errors import InputError
from snaphold.providers.registry import open_local, open_provider, provider_names
from support.backup_site import make_site


def test_adapters_are_the_modules_that_connect() -> None:
    names = provider_names()
    assert {"aws_ebs", "rclone", "restic"} <= set(names) == set(names) - {"aws_session", "base", "jobs", "registry", "vendor"}


@pytest.mark.parametrize(
    ("name", "why"), [("restik", 'did you mean "restic"?'), ("jobs", None), ("registry", None), ("../x", None)]
)
def test_an_unknown_provider_is_refused_with_the_nearest_name(tmp_path: Path, name: str, why: str | None) -> None:
    site = make_site(tmp_path, "rclone")
    pool = site.pool.model_copy(update={"provider": name})
    with pytest.raises(InputError) as refused:
        open_provider(pool, site.configuration, "INC-1", site.provider().clock)  # type: ignore[attr-defined]
    assert why is None or refused.value.why == why


def test_an_engine_of_this_machine_opens_for_its_job(tmp_path: Path) -> None:
    provider = make_site(tmp_path, "rclone").provider()
    assert type(open_local(provider.place, provider.clock)) is type(provider)  # type: ignore[attr-defined]

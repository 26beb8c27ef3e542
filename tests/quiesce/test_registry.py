from __future__ import annotations

import pytest

from snaphold.errors import InputError
from snaphold.quiesce.registry import adapter_names, open_quiescer


@pytest.mark.parametrize("name", adapter_names())
def test_each_adapter_opens_under_its_own_name(name: str) -> None:
    assert open_quiescer(name).describe().name == name


def test_support_modules_are_no_adapters() -> None:
    assert "sqlite" in adapter_names()
    assert {"base", "registry", "sqlite-file", "sqlite-proof"}.isdisjoint(adapter_names())


def test_an_unknown_adapter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as caught:
        open_quiescer("sqlitte")
    assert 'did you mean "sqlite"?' in str(caught.value)

"""What playbooks need in systems that cannot stop a run or repeat a call by themselves."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import ValidationError

from snaphold.actions.core import Halt, NextItem, halt, next_item
from snaphold.context import Context
from snaphold.errors import InputError

NO_CONTEXT = cast("Context", None)


def take(items: Any, position: Any) -> tuple[str, int, int, bool]:
    found = next_item(NextItem(items=items, position=position), NO_CONTEXT)
    return found.item, found.index, found.position, found.more


def test_items_come_one_after_the_other_and_the_last_one_says_so() -> None:
    assert take(["a,b", "c"], 0) == ("a,b", 0, 1, True)
    assert take(["a,b", "c"], 1) == ("c", 1, 2, False)


def test_text_with_commas_is_a_list_too() -> None:
    assert take("a, b", "1") == ("b", 1, 2, False)


@pytest.mark.parametrize(("items", "position"), [([], 0), (["a"], 1), ("", 0)])
def test_there_is_no_item_after_the_last(items: Any, position: int) -> None:
    with pytest.raises(InputError, match="no further item"):
        take(items, position)


def test_an_item_that_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="more than once"):
        take(["a", "b", "a"], 0)


def test_a_halt_gives_back_its_state_and_keeps_the_reason() -> None:
    found = halt(Halt.model_validate({"reason": "Enough.", "state": "stopped"}), NO_CONTEXT)
    assert (found.state, found.findings) == ("stopped", ["Enough."])
    assert halt(Halt(reason="Enough."), NO_CONTEXT).state == "failed"


def test_a_halt_needs_a_reason_and_a_known_state() -> None:
    for given in ({"reason": ""}, {"reason": "x", "state": "running"}):
        with pytest.raises(ValidationError):
            Halt.model_validate(given)

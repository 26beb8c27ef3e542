from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.domain.classification import Classification, Source
from snaphold.domain.plan import Placement, PoolRoom, Refusal, Room, candidate_pools, effective_tiers
from snaphold.errors import InputError

GIB = 1 << 30
ROUTES = [(("T0", "T1"), "first", "second"), (("T2",), "second", None)]


def room(*pools: PoolRoom) -> Room:
    return Room({pool.pool: pool for pool in pools})


def test_the_first_pool_with_room_takes_the_backup() -> None:
    found = room(PoolRoom("first", 10 * GIB, 5 * GIB, 0.1), PoolRoom("second", 10 * GIB, 9 * GIB, 0.1))
    assert found.place("a", GIB, ["first", "second"]) == Placement("a", "first", GIB)


def test_a_full_pool_is_left_for_the_alternate_with_the_numbers() -> None:
    answer = room(PoolRoom("first", 100, 30, 0.1), PoolRoom("second", 100, 90, 0.1)).place("a", 21, ["first", "second"])
    assert isinstance(answer, Placement)
    assert answer.pool == "second"
    assert answer.rerouted == "a goes to second: first is too full: needed 21 bytes, free 30 bytes, reserve 10 bytes"


def test_a_compromised_pool_is_never_used() -> None:
    fault = PoolRoom("first", 100, 100, 0, fault="is marked as compromised")
    answer = room(fault, PoolRoom("second", 100, 90, 0)).place("a", 1, ["first", "second"])
    assert isinstance(answer, Placement)
    assert (answer.pool, answer.rerouted) == ("second", "a goes to second: first is marked as compromised")
    refusal = room(fault).place("a", 1, ["first"])
    assert isinstance(refusal, Refusal)
    assert not refusal.for_room


def test_a_pool_that_cannot_tell_its_room_has_none() -> None:
    answer = room(PoolRoom("first", None, None, 0)).place("a", 0, ["first"])
    assert isinstance(answer, Refusal)
    assert "not enough" in answer.reasons[0]


def test_pools_of_one_storage_share_its_room() -> None:
    both = room(PoolRoom("first", 100, 50, 0, storage="disk"), PoolRoom("second", 100, 50, 0, storage="disk"))
    assert isinstance(both.place("a", 40, ["first"]), Placement)
    refusal = both.place("b", 40, ["second"])
    assert isinstance(refusal, Refusal)
    assert "40 bytes already planned" in refusal.reasons[0]


def test_an_own_pool_goes_first_and_the_alternate_of_the_route_second() -> None:
    pools = ["first", "second", "third"]
    assert candidate_pools("a", "T0", None, ROUTES, pools) == ("first", "second")
    assert candidate_pools("a", "T0", "third", ROUTES, pools) == ("third", "second")
    assert candidate_pools("a", "T2", None, ROUTES, pools) == ("second",)


def test_the_only_pool_needs_no_route() -> None:
    assert candidate_pools("a", "T9", None, [], ["only"]) == ("only",)


def test_a_tier_without_a_route_is_named() -> None:
    with pytest.raises(InputError, match="tier T9 of a"):
        candidate_pools("a", "T9", None, ROUTES, ["first", "second"])


def test_what_a_critical_asset_needs_is_routed_as_critical() -> None:
    classified = [
        Classification("shop", "T0", 0, Source.CONFIGURATION, ""),
        Classification("db", "T1", 1, Source.CONFIGURATION, ""),
        Classification("files", "T2", 2, Source.CONFIGURATION, ""),
    ]
    assert effective_tiers(classified, {"shop": ("db",)}) == {"shop": "T0", "db": "T0", "files": "T2"}


pools = st.builds(
    PoolRoom,
    pool=st.just("x"),
    total=st.none() | st.integers(0, 10**6),
    free=st.none() | st.integers(0, 10**6),
    reserve=st.floats(0, 0.99),
    storage=st.sampled_from(["", "disk-1", "disk-2"]),
    fault=st.sampled_from(["", "", "", "is broken"]),
)


@given(st.lists(pools, min_size=1, max_size=4), st.lists(st.integers(0, 10**6), max_size=6))
def test_no_storage_is_ever_filled_beyond_its_reserve(found: list[PoolRoom], needs: list[int]) -> None:
    named = {f"p{number}": replace(pool, pool=f"p{number}") for number, pool in enumerate(found)}
    plan = Room(named)
    answers = [plan.place(f"a{number}", needed, list(named)) for number, needed in enumerate(needs)]
    for answer in answers:
        if isinstance(answer, Refusal):
            assert len(answer.reasons) == len(named)
            continue
        pool = named[answer.pool]
        storage = pool.storage or pool.pool
        taken = sum(
            other.needed
            for other in answers[: answers.index(answer) + 1]
            if isinstance(other, Placement) and (named[other.pool].storage or other.pool) == storage
        )
        assert not pool.fault
        assert pool.free is not None
        assert taken + pool.reserve_bytes <= pool.free

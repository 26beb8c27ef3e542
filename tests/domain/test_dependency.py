from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.domain.dependency import effective_levels, find_cycles, order_by_dependency
from snaphold.errors import InputError

SHOP = {"shop": ("web", "orders-db"), "web": ("orders-db",), "orders-db": ("san",), "san": (), "files": ()}
LEVELS = {"shop": 0, "web": 1, "orders-db": 2, "san": 3, "files": 3}


def test_dependencies_come_in_earlier_waves() -> None:
    order = order_by_dependency(["shop", "web", "orders-db", "san", "files"], SHOP, LEVELS)
    assert order.waves == (("san", "files"), ("orders-db",), ("web",), ("shop",))
    assert order.ordered == ["san", "files", "orders-db", "web", "shop"]


def test_what_something_critical_needs_is_raised_and_says_by_what() -> None:
    levels = order_by_dependency(list(SHOP), SHOP, LEVELS).levels
    assert (levels["san"].level, levels["san"].needed_by) == (0, "shop")
    assert (levels["web"].level, levels["web"].needed_by) == (0, "shop")
    assert (levels["files"].level, levels["files"].needed_by) == (3, "")
    assert (levels["shop"].level, levels["shop"].needed_by) == (0, "")


def test_a_critical_asset_outside_the_scope_raises_what_it_needs() -> None:
    order = order_by_dependency(["san", "files"], SHOP, LEVELS)
    assert order.waves == (("san", "files"),)
    assert order.levels["san"].needed_by == "shop"


def test_a_dependency_outside_the_scope_is_named_and_still_orders() -> None:
    order = order_by_dependency(["shop", "san"], SHOP, LEVELS)
    assert order.waves == (("san",), ("shop",))
    assert order.outside == ("orders-db", "web")


def test_within_a_wave_the_more_critical_come_first_and_then_the_id_decides() -> None:
    needs: dict[str, tuple[str, ...]] = dict.fromkeys(("d", "c", "b", "a"), ())
    order = order_by_dependency(list(needs), needs, {"a": 2, "b": 1, "c": 1, "d": 0})
    assert order.waves == (("d", "b", "c", "a"),)


def test_a_circle_is_named_as_a_path() -> None:
    needs = {"c": ("a",), "b": ("c",), "a": ("b",), "x": ("a",), "below": ()}
    with pytest.raises(InputError) as caught:
        order_by_dependency(["x", "below"], needs, dict.fromkeys(needs, 1))
    assert caught.value.what == "assets depend on each other in a circle"
    assert caught.value.why == "a → b → c → a"


def test_an_asset_that_needs_itself_is_a_circle() -> None:
    assert find_cycles({"a": ("a",), "b": ()}) == [["a", "a"]]


def test_separate_circles_are_all_named() -> None:
    needs = {"a": ("b",), "b": ("a",), "m": ("n", "a"), "n": ("m",), "free": ("m",)}
    assert find_cycles(needs) == [["a", "b", "a"], ["m", "n", "m"]]


def test_a_circle_elsewhere_does_not_stop_an_incident() -> None:
    needs = {"files": (), "a": ("b",), "b": ("a",)}
    assert order_by_dependency(["files"], needs, dict.fromkeys(needs, 1)).waves == (("files",),)


def test_unknown_dependencies_are_named_with_who_needs_them() -> None:
    needs = {"shop": ("oders-db",), "web": ("oders-db", "cache"), "orders-db": ()}
    with pytest.raises(InputError) as caught:
        order_by_dependency(["shop", "web"], needs, dict.fromkeys(needs, 0))
    assert caught.value.why == ("'cache' is needed by web; 'oders-db' is needed by shop, web did you mean \"orders-db\"?")


def test_unknown_assets_are_named_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        order_by_dependency(["shopp"], SHOP, LEVELS)
    assert caught.value.why == "'shopp' did you mean \"shop\"?"


def test_very_many_faults_are_counted_not_listed() -> None:
    needs = {"a": tuple(f"gone-{number:03}" for number in range(200))}
    with pytest.raises(InputError) as caught:
        order_by_dependency(["a"], needs, {"a": 0})
    assert str(caught.value.why).endswith("and 190 more")


@pytest.mark.slow
def test_a_chain_of_fifty_thousand_needs_no_recursion() -> None:
    names = [f"a{number:05}" for number in range(50_000)]
    needs = {name: (names[at + 1],) if at + 1 < len(names) else () for at, name in enumerate(names)}
    order = order_by_dependency(names, needs, dict.fromkeys(names, 5) | {names[0]: 0})
    assert order.ordered == names[::-1]
    assert order.levels[names[-1]].needed_by == names[0]
    closed = {**needs, names[-1]: (names[0],)}
    with pytest.raises(InputError, match="circle"):
        order_by_dependency(names, closed, dict.fromkeys(names, 1))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    names = draw(st.lists(st.from_regex(r"[a-f]{1,3}", fullmatch=True), unique=True, min_size=1, max_size=12))
    needs = {name: tuple(draw(st.lists(st.sampled_from(names[:at]), max_size=4))) if at else () for at, name in enumerate(names)}
    return needs, {name: draw(st.integers(0, 4)) for name in names}


@given(graphs(), st.randoms(use_true_random=False), st.data())
def test_waves_hold_each_asset_once_respect_dependencies_and_do_not_depend_on_the_order_of_input(
    graph: tuple[dict[str, tuple[str, ...]], dict[str, int]], random: Any, data: st.DataObject
) -> None:
    needs, levels = graph
    scope = data.draw(st.lists(st.sampled_from(sorted(needs)), unique=True, min_size=1))
    order = order_by_dependency(scope, needs, levels)
    assert sorted(order.ordered) == sorted(scope)
    wave_of = {asset: number for number, wave in enumerate(order.waves) for asset in wave}
    for asset in scope:
        behind, waiting = set[str](), list(needs[asset])
        while waiting:
            needed = waiting.pop()
            behind.add(needed)
            waiting.extend(needs[needed])
        for needed in behind & set(scope):
            assert wave_of[needed] < wave_of[asset]
            assert order.levels[needed].level <= order.levels[asset].level
    names = list(needs)
    random.shuffle(names)
    shuffled = {name: tuple(random.sample(needs[name], len(needs[name]))) for name in names}
    assert order_by_dependency(random.sample(scope, len(scope)), shuffled, levels) == order


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh"), max_size=3)))
def test_cycles_are_real_paths_and_are_found_exactly_when_no_order_exists(given_needs: dict[str, list[str]]) -> None:
    needs = {name: tuple(given_needs.get(name, ())) for name in "abcdefgh"}
    cycles = find_cycles(needs)
    for cycle in cycles:
        assert cycle[0] == cycle[-1] == min(cycle)
        assert all(after in needs[before] for before, after in itertools.pairwise(cycle))
    levels = dict.fromkeys(needs, 1)
    if cycles:
        with pytest.raises(InputError, match="circle"):
            order_by_dependency(list(needs), needs, levels)
    else:
        assert len(order_by_dependency(list(needs), needs, levels).ordered) == 8
    assert set(effective_levels(needs, levels)) == set(needs)

"""Values in CACAO: names of variables, text with variables in it, and conditions as STIX patterns. Pure functions.

Every variable holds text. A list is written with commas, and where `for_each` goes over it also as JSON under a name
that ends in `-JSON`, because its items may hold commas. Step ids and fields are lower-case, so that names with capital
letters are the exporter's own and never meet them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from snaphold.playbook.condition import ORDERING, Comparison, Condition, parse_condition
from snaphold.playbook.reference import Reference, pieces_of
from snaphold.playbook.valuetype import Plain, ValueType, write_value

GATEWAY, PORT, TOKEN = "__SNAPHOLD_GATEWAY__", "__SNAPHOLD_PORT__", "__SNAPHOLD_TOKEN__"
INCIDENT, INCIDENT_ID = "__SNAPHOLD_INCIDENT__", "__SNAPHOLD_INCIDENT_ID__"
JUSTIFICATION, GENERATION = "__SNAPHOLD_JUSTIFICATION__", "__SNAPHOLD_GENERATION__"
SHARED = (GATEWAY, PORT, TOKEN, INCIDENT, INCIDENT_ID, JUSTIFICATION, GENERATION)
"""What a playbook is given by whoever starts it, and hands on to every playbook that it calls."""
RUNNING, FAILED, STOPPED, UNKNOWN = "running", "failed", "stopped", "unknown"
NONE = "none"
"""No answer yet."""
FAILED_FOR_GOOD = "failed_for_good"
"""Failed, and the last handler has failed over it already."""
GOOD_OUTCOMES = "('succeeded','partial')"
USED_VARIABLE = re.compile(r"(__[A-Za-z_][A-Za-z0-9_-]{0,199}?__):value")
"""A variable where its value is used."""
CACAO_TYPES = {ValueType.STRING: "string", ValueType.INTEGER: "integer", ValueType.BOOLEAN: "bool", ValueType.LIST: "string"}

Namer = Callable[[Reference], str]
"""Gives the variable that holds the value of a reference."""
_OPERATORS = {"==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_OPPOSITES = {"==": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def state_variable(playbook: str) -> str:
    """Return the variable that says whether a playbook still runs: running, failed, failed_for_good or stopped."""
    return f"__SNAPHOLD_STATE-{playbook}__"


def json_variable(variable: str) -> str:
    """Return the variable that holds the same list as JSON."""
    return f"{variable.removesuffix('__')}-JSON__"


def path_variable(playbook: str) -> str:
    """Return the variable that names the call of a playbook in the idempotency keys of its steps."""
    return f"__SNAPHOLD_PATH-{playbook}__"


def input_variable(name: str) -> str:
    """Return the variable of a playbook's input."""
    return f"__inputs-{name}__"


def value_of(variable: str) -> str:
    """Return how a variable's value is written inside text."""
    return f"{variable}:value"


def text_with(value: object, name_of: Namer) -> str:
    """Return a value of `with` as text, each reference as its variable."""
    if isinstance(value, (list, tuple)):
        return ",".join(text_with(item, name_of) for item in cast("Sequence[object]", value))
    if isinstance(value, str):
        return "".join(value_of(name_of(piece)) if isinstance(piece, Reference) else piece for piece in pieces_of(value))
    return write_value(value) if isinstance(value, (bool, int)) else str(value)


def body_with(given: Mapping[str, object], name_of: Namer, raw: Mapping[str, str]) -> str:
    """Return the JSON body of a call of an action. All values are text, as SOARs pass them, but for `raw`, which is JSON."""
    fields = {name: json.dumps(text_with(value, name_of), ensure_ascii=False) for name, value in given.items()}
    fields = dict(sorted({**fields, **raw}.items()))
    return (
        "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in {**fields, "incident": value_of(INCIDENT)}.items()) + "}"
    )


def literal(value: str | int | bool) -> str:
    """Return a literal of a STIX pattern. Variables hold text, so every literal is text."""
    text = write_value(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def equals(variable: str, value: Plain) -> str:
    """Return the pattern that holds when a variable has a value."""
    return f"[{value_of(variable)} = {literal(write_value(value))}]"


def all_equal(variables: Sequence[str], value: str) -> str:
    """Return the pattern that holds when all variables have a value."""
    return "[" + " AND ".join(f"{value_of(variable)} = {literal(value)}" for variable in variables) + "]"


def any_equals(variables: Sequence[str], value: str) -> str:
    """Return the pattern that holds when at least one variable has a value."""
    return "[" + " OR ".join(f"{value_of(variable)} = {literal(value)}" for variable in variables) + "]"


def has_succeeded(variable: str) -> str:
    """Return the pattern that holds when a variable says that an action succeeded, wholly or in part."""
    return f"[{value_of(variable)} IN {GOOD_OUTCOMES}]"


def pattern(text: str, name_of: Namer) -> str:
    """Return a condition of the language as a STIX pattern."""
    return f"[{_joined(parse_condition(text), name_of)}]"


def still_asking(until: str, fail: str, answered: str, name_of: Namer) -> str:
    """Return the pattern that holds while a poll must go on: no answer yet, or neither done nor failed."""
    not_done, not_failed = (_denied(parse_condition(text), name_of) for text in (until, fail))
    return f"[{value_of(answered)} = '{NONE}' OR (({not_done}) AND ({not_failed}))]"


def has_ended_well(until: str, fail: str, answered: str, name_of: Namer) -> str:
    """Return the pattern that holds when a poll's last answer succeeded, says done, and does not say failed."""
    done, not_failed = _joined(parse_condition(until), name_of), _denied(parse_condition(fail), name_of)
    return f"[{value_of(answered)} IN {GOOD_OUTCOMES} AND ({done}) AND ({not_failed})]"


def fields_in(text: str, scope: str) -> list[str]:
    """Return the fields of a scope that a condition names, each once."""
    found = (comparison.reference for comparison in parse_condition(text).comparisons)
    return list(dict.fromkeys(reference.field for reference in found if reference.scope == scope))


def orders(text: str) -> bool:
    """Return whether a condition compares sizes, which players of CACAO may do on text."""
    return any(comparison.operator in ORDERING for comparison in parse_condition(text).comparisons)


def _joined(condition: Condition, name_of: Namer) -> str:
    return f" {condition.joiner.upper()} ".join(_compared(one, _OPERATORS, name_of) for one in condition.comparisons)


def _denied(condition: Condition, name_of: Namer) -> str:
    """Return the opposite; STIX patterns know no NOT before a bracket."""
    joiner = " AND " if condition.joiner == "or" else " OR "
    return joiner.join(_compared(one, _OPPOSITES, name_of) for one in condition.comparisons)


def _compared(comparison: Comparison, operators: Mapping[str, str], name_of: Namer) -> str:
    number = comparison.operator in ORDERING and not isinstance(comparison.literal, (bool, str))
    right = str(comparison.literal) if number else literal(comparison.literal)
    return f"{value_of(name_of(comparison.reference))} {operators[comparison.operator]} {right}"

"""The incident that a request is about: sent along, or known from an earlier request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from snaphold.domain.incident import Incident, IncidentRecord
from snaphold.errors import DocumentError, InputError
from snaphold.ledger.ledger import Ledger
from snaphold.validation import problems_of


def read_incident(given: Any, ledger: Ledger) -> Incident:
    """Return the incident that is given as an object, or by the id of one that the service was told of.

    Raises InputError when there is none, none of that id, or when the object is faulty.
    """
    if isinstance(given, Mapping):
        try:
            return Incident.model_validate(given)
        except ValidationError as error:
            raise DocumentError("the incident is wrong", problems_of(error, None, Incident)) from error
    if not isinstance(given, str) or not given:
        raise InputError(
            "the incident is missing",
            "every action serves an incident",
            'send it in the body as "incident": {...}, or as the id of one that was sent before',
        )
    found = ledger.record(IncidentRecord, given)
    if found is None:
        raise InputError(
            f"the incident {given[:128]!r} is not known here", "it was never sent whole", 'send it once as "incident": {...}'
        )
    return found.declared

"""Which triggers an alert fires, and which it ends. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase

from pydantic import Field

from snaphold.clock import Positive
from snaphold.config import Configuration
from snaphold.domain.value import Identifier, Value
from snaphold.webhooks.declare import assets_of
from snaphold.webhooks.message import Alert, Message, short_id
from snaphold.webhooks.paths import find_texts
from snaphold.webhooks.settings import Trigger, Webhook


class ScheduleOrder(Value):
    """A schedule to tighten, or (`firing` is false) a reason for it that is gone."""

    trigger: Identifier
    alert: Identifier = Field(description="Trigger and alert in one: the same each time the alert is told of.")
    asset: Identifier
    firing: bool
    every: Positive
    lasts: Positive


def schedule_orders(message: Message, webhook: Webhook, configuration: Configuration) -> tuple[ScheduleOrder, ...]:
    """Return what the alerts of a message ask of the schedules; one order for each trigger, alert and asset."""
    orders: dict[tuple[str, str], ScheduleOrder] = {}
    for trigger, alert in _matching(message, webhook, configuration):
        if trigger.every is None:
            continue
        id = short_id("ALERT", trigger.name, webhook.name, alert.key)
        for asset in trigger.assets or assets_of(alert.asset_words, webhook, configuration):
            orders[id, asset] = ScheduleOrder(
                trigger=trigger.name,
                alert=id,
                asset=asset,
                firing=fires(trigger, alert),
                every=trigger.every,
                lasts=trigger.lasts,
            )
    return tuple(orders.values())


def fired(message: Message, webhook: Webhook, configuration: Configuration) -> list[Trigger]:
    """Return the triggers that the message fires, in the order of the configuration."""
    firing = {trigger.name for trigger, alert in _matching(message, webhook, configuration) if fires(trigger, alert)}
    return [trigger for trigger in configuration.triggers if trigger.name in firing]


def fires(trigger: Trigger, alert: Alert) -> bool:
    """Return whether the alert fires and its number, when the trigger has a threshold, is beyond it.

    A number that is missing or no number counts as beyond: backups too often are the lesser harm.
    """
    if not alert.firing:
        return False
    if not trigger.field:
        return True
    number = number_at(alert, trigger.field)
    if number is None:
        return True
    return (trigger.above is not None and number > trigger.above) or (trigger.below is not None and number < trigger.below)


def number_at(alert: Alert, path: str) -> float | None:
    """Return the number at a path; a percent sign after it does not matter. None when there is none."""
    text = next(iter(find_texts(alert.document, path)), "").removesuffix("%").strip()
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _matching(message: Message, webhook: Webhook, configuration: Configuration) -> Iterator[tuple[Trigger, Alert]]:
    mine = [trigger for trigger in configuration.triggers if trigger.source == webhook.name]
    for alert in message.alerts:
        for trigger in mine:
            if all(_fits(alert, path, pattern) for path, pattern in trigger.match.items()):
                yield trigger, alert


def _fits(alert: Alert, path: str, pattern: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in find_texts(alert.document, path))

"""Gives a Shuffle app its time on a busy machine. `App` puts it into the app's path as sitecustomize, so that Python runs it.

The limits that it lifts belong to Shuffle, which gives an action 30 s. What the app does at them is shown in
`tests/soar`; here they would only end what a busy machine makes slow.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import requests

from snaphold.soar import shuffle, shuffle_vendor

SECONDS = 240.0

shuffle.CALL_SECONDS = SECONDS  # pyright: ignore[reportConstantRedefinition]
shuffle_vendor.ANSWER_WAIT = timedelta(seconds=SECONDS)  # pyright: ignore[reportConstantRedefinition]
shuffle_vendor.answer_vendor.__kwdefaults__ |= {"seconds": SECONDS}  # pyright: ignore[reportOperatorIssue]

_post: Any = requests.post


def _patient_post(url: str, **options: Any) -> Any:
    """Post as the SDK does, which waits 10 s for the backend to take a result and then ends as if it had been taken."""
    return _post(url, **{**options, "timeout": SECONDS})


requests.post = _patient_post

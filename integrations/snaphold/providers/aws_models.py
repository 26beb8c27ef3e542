"""The service models of AWS's client, read once for all clients of this process: that of EC2 is large."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def shared_loader() -> Any:
    """Return what reads the service models and keeps them."""
    from botocore.loaders import Loader

    return Loader()

"""What processes that run for long write to their standard error, with secrets hidden."""

from __future__ import annotations

import logging

from snaphold.secrets import redact


class RedactingFormatter(logging.Formatter):
    """Hides secrets in what is logged, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record without secrets."""
        return redact(super().format(record))


def log_to_stderr(*names: str, quiet: bool, always_quiet: tuple[str, ...] = ()) -> None:
    """Have the loggers of these names write to standard error: everything, or with `quiet` only what went wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    for name in (*names, *always_quiet):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING if quiet or name in always_quiet else logging.INFO)
        logger.addHandler(handler)

"""The servers' log: one JSON object per line, on standard error."""

from __future__ import annotations

import json
import logging
import time

__all__ = ["JSONFormatter", "log_to_stderr"]


class JSONFormatter(logging.Formatter):
    """Formats a record as JSON: time (UTC), level, logger, message, the record's fields, and any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line for a record."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        tree = {
            "time": f"{moment}.{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            tree["traceback"] = self.formatException(record.exc_info)
        return json.dumps(tree)


def log_to_stderr() -> None:
    """Starts to log requests and failures of a server's process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    top = logging.getLogger()
    top.handlers = [handler]
    logging.getLogger("dxflow_async").setLevel(logging.INFO)

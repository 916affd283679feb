"""Warnings about environment variables named `DXFLOW_*` that set nothing.

Others may set such variables: Kubernetes gives each pod the addresses of its namespace's services, so that a service
called `dxflow` or `dxflow-hub` makes `DXFLOW_PORT` and `DXFLOW_HUB_SERVICE_HOST`. Unknown variables therefore stop
nothing; a log line tells of each once in a process, except of those.

Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from dxflow_async.config.loader import nearest

__all__ = ["is_service_link", "warn_of_unknown"]

_log = logging.getLogger("dxflow_async.config")

_SERVICE_LINK = re.compile(
    r"DXFLOW_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

_told: set[str] = set()


def is_service_link(variable: str) -> bool:
    """Whether a variable has a name that Kubernetes gives to the address of a service.

    Example:
        >>> is_service_link("DXFLOW_HUB_PORT_80_TCP_ADDR"), is_service_link("DXFLOW_PART_SIZES")
        (True, False)
    """
    return _SERVICE_LINK.fullmatch(variable) is not None


def warn_of_unknown(variables: Iterable[str], known: Iterable[str]) -> None:
    """Logs a warning for each `DXFLOW_*` variable that is not known, with the nearest one that is.

    Args:
        variables: the names in the environment.
        known: the names that set something.
    """
    known = set(known)
    for variable in sorted(variables):
        if not variable.startswith("DXFLOW_") or variable in known or variable in _told or is_service_link(variable):
            continue
        _told.add(variable)
        near = nearest(variable, known, shared="DXFLOW_")
        if not near and variable.startswith("DXFLOW_REMOTE_"):
            near = "; it belongs to no remote: define one in the file, or with DXFLOW_REMOTE_NAME_TYPE"
        _log.warning("environment: unknown variable %s is ignored%s", variable, near)

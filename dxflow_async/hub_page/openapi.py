"""The page's routes as OpenAPI paths, taken from the routes and the docstrings of their handlers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web

__all__ = ["paths_of"]

_UNSAFE = ("POST", "PATCH", "DELETE")


def paths_of(routes: Iterable[web.AbstractRoute]) -> dict[str, Any]:
    """Returns the OpenAPI paths of routes.

    Source: https://spec.openapis.org/oas/v3.1.0#paths-object
    """
    paths: dict[str, Any] = {}
    for route in routes:
        if route.resource is None or (route.method == "HEAD" and "GET" in paths.get(route.resource.canonical, {})):
            continue
        methods = paths.setdefault(route.resource.canonical, {})
        methods[route.method.lower()] = _operation(route)
    return paths


def _operation(route: web.AbstractRoute) -> dict[str, Any]:
    assert route.resource is not None
    text = (route.handler.__doc__ or "").partition("\n")[0]
    names = re.findall(r"\{(\w+)\}", route.resource.canonical)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    if route.method in _UNSAFE:
        parameters.append({"name": "X-CSRF-Token", "in": "header", "required": True, "schema": {"type": "string"}})
    return {
        "operationId": f"page_{route.handler.__name__.strip('_')}_{route.method.lower()}",
        "summary": text.partition(": ")[2] or text,
        "tags": ["page"],
        "parameters": parameters,
        "responses": {"default": {"description": "The answer, or an error as JSON."}},
    }

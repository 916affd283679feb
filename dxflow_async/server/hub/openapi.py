"""The hub's routes as OpenAPI 3.1, for programs. The tests compare it with what the hub does.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from dxflow_async.server.hub.provider_settings import settings_schema

__all__ = ["description"]

_TEXT = {"type": "string"}
_NUMBER = {"type": "number", "minimum": 0, "maximum": 1e9}
_NAME = {"type": "string", "minLength": 1, "maxLength": 128}
_SECRET = {"type": "string", "minLength": 16, "maxLength": 1024, "pattern": "^[!-~]+$"}

_ERRORS = {
    400: "The request is invalid.",
    401: "The secret or the password is not valid.",
    404: "The object does not exist.",
    409: "The request conflicts with the state of the object.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "There were too many failed attempts. Retry-After holds the seconds to wait.",
    503: "The hub is busy. Try again.",
}


@functools.cache
def description() -> dict[str, Any]:
    """Returns the description."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "dxflow hub", "version": version("dxflow-async")},
        "paths": {**_public_paths(), **_account_paths(), **_unit_paths()},
        "components": {
            "securitySchemes": {"secret": {"type": "apiKey", "in": "header", "name": "X-SECRET-KEY"}},
            "schemas": _schemas(),
        },
    }


def _public_paths() -> dict[str, Any]:
    body = _object({"email": _TEXT, "password": _TEXT, "namespace": _TEXT}, required=("email", "password", "namespace"))
    return {
        "/auth/login/": {"post": _operation("signIn", "SignIn", errors=(400, 401, 413, 415, 429), body=body)},
        "/healthz": {"get": _operation("showHealth", "Health", errors=())},
        "/openapi.json": {"get": _operation("showDescription", "Description", errors=())},
    }


def _account_paths() -> dict[str, Any]:
    user = "/users/{pointer}/"
    provider = {"name": "provider", "in": "path", "required": True, "schema": {"enum": ["AWS", "AZURE", "GCP"]}}
    settings = {"anyOf": [settings_schema(name) for name in ("AWS", "AZURE", "GCP")]}
    return {
        user: {"get": _owned("showUser", "User")},
        f"{user}namespaces/": {"get": _owned("listNamespaces", "Namespaces")},
        f"{user}sign-in/": {"delete": _owned("signOut", "Nothing")},
        f"{user}providers/": {"get": _owned("listProviders", "Providers")},
        f"{user}providers/{{provider}}/": {
            "parameters": [provider],
            "put": _owned("setProvider", "Nothing", errors=(400, 413, 415), body=settings),
            "delete": _owned("forgetProvider", "Nothing", errors=(404,)),
        },
    }


def _unit_paths() -> dict[str, Any]:
    query = [{"name": name, "in": "query", "schema": _TEXT} for name in ("status", "name")]
    unit = "/compute/units/{pointer}/"
    return {
        "/users/{pointer}/compute/units/": {
            "get": _owned("listUnits", "Units", errors=(400,)) | {"parameters": [*_pointer(), *query]},
            "post": _owned("registerUnit", "Unit", status=201, errors=(400, 409, 413, 415), body=_new_unit()),
        },
        unit: {
            "get": _owned("showUnit", "Unit"),
            "delete": _owned("terminateUnit", "Unit", errors=(409,)),
        },
        f"{unit}start/": {"put": _owned("startUnit", "Unit", errors=(409,))},
        f"{unit}stop/": {"put": _owned("stopUnit", "Unit", errors=(409,))},
        f"{unit}troubleshoot/": {"put": _owned("troubleshootUnit", "Examined", errors=(409,))},
    }


def _owned(
    name: str, answer: str, *, status: int = 200, errors: tuple[int, ...] = (), body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describes an operation on the object that the path's pointer names. It takes that object's secret."""
    operation = _operation(name, answer, status=status, errors=(401, *errors), body=body)
    return {**operation, "security": [{"secret": []}], "parameters": _pointer()}


def _operation(
    name: str, answer: str, *, status: int = 200, errors: tuple[int, ...], body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    responses = {str(status): _response("The operation succeeded.", answer)}
    responses |= {str(error): _response(_ERRORS[error], "Error") for error in sorted({*errors, 503})}
    operation: dict[str, Any] = {"operationId": name, "responses": responses}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _response(text: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, "content": content}


def _pointer() -> list[dict[str, Any]]:
    return [{"name": "pointer", "in": "path", "required": True, "schema": _TEXT}]


def _object(
    properties: Mapping[str, Any], *, required: tuple[str, ...] | None = None, closed: bool = False
) -> dict[str, Any]:
    """Describes an object. All its properties are required, unless `required` lists them."""
    tree = {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
    }
    return {**tree, "additionalProperties": False} if closed else tree


def _new_unit() -> dict[str, Any]:
    kind = {"provider": _NAME, "name": _NAME, "cpu": _NUMBER, "memory": _NUMBER, "disk": _NUMBER}
    properties = {
        "name": {**_NAME, "pattern": "^[^/]+$"},
        "ip": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?$"},
        "protocol": {"enum": ["HTTP", "HTTPS"]},
        "secrets": _object({"RW": _SECRET, "RO": _SECRET}, closed=True),
        "type": _object(kind, required=(), closed=True),
    }
    return _object(properties, required=("name", "ip"))


def _schemas() -> dict[str, Any]:
    kind = {"provider": _TEXT, "name": _TEXT, "cpu": _NUMBER, "memory": _NUMBER, "disk": _NUMBER}
    unit = {
        **dict.fromkeys(("pointer", "name", "status", "ip", "protocol"), _TEXT),
        "secrets": _object({"RW": _TEXT, "RO": _TEXT}),
        "type": _object(kind),
    }
    holder = _object({"pointer": _TEXT, "secret": _TEXT})
    settings = {"type": "object", "additionalProperties": {"type": ["string", "boolean"]}}
    return {
        "Error": _object({"error": _object({"code": _TEXT, "message": _TEXT}, closed=True)}, closed=True),
        "Nothing": {"type": "object", "maxProperties": 0},
        "Health": _object({"status": {"const": "ok"}}),
        "Description": {"type": "object"},
        "SignIn": _object({"user": holder, "namespace": holder, "created": {"type": "boolean"}}),
        "User": _object({"user": _object({"pointer": _TEXT, "email": _TEXT})}),
        "Namespaces": _list_of(_object({"pointer": _TEXT, "name": _TEXT})),
        "Providers": {"type": "object", "additionalProperties": settings},
        "Unit": _object(unit),
        "Units": _list_of({"$ref": "#/components/schemas/Unit"}),
        "Examined": _object({**unit, "detail": _object({"served": {"type": "boolean"}, "volume": _TEXT})}),
    }


def _list_of(item: Mapping[str, Any]) -> dict[str, Any]:
    return _object({"total": {"type": "integer", "minimum": 0}, "list": {"type": "array", "items": dict(item)}})

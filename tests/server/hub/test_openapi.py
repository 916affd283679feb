"""The hub's description of itself, held against what it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from dxflow_async.blocking.portal import Portal
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from dxflow_async.server.hub.openapi import description

ME = {"email": "me@example.org", "password": "correct horse", "namespace": "diphyx"}


@dataclass(frozen=True)
class Owner:
    """A hub, and somebody who has a unit there."""

    hub: str
    user: dict[str, str]
    unit: dict[str, Any]


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """A hub in a thread of its own."""
    portal = Portal()
    server = Server(create_app(tmp_path_factory.mktemp("home")), Listening())
    hub = portal.call(server.start)
    user = requests.post(f"{hub}/auth/login/", json=ME, timeout=10).json()["user"]
    new = {"name": "mine", "ip": "127.0.0.1:1", "protocol": "HTTP"}
    url, headers = f"{hub}/users/{user['pointer']}/compute/units/", {"X-SECRET-KEY": user["secret"]}
    yield Owner(hub, user, requests.post(url, json=new, headers=headers, timeout=10).json())
    portal.call(server.aclose)
    portal.close()


# A body that is too large is refused before anything else is looked at.
REFUSALS = [400, 401, 403, 404, 409, 413, 415, 429]
CONFIG = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}})
schema = schemathesis.openapi.from_dict(description(), config=CONFIG)
# What is printable, or goes together, no schema says: there valid data may be a 400 too.
STRICTER = ("signIn", "setProvider", "registerUnit")
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def excluded(case: schemathesis.Case[Any]) -> list[Any]:
    """The checks that do not fit an operation."""
    return [positive_data_acceptance] if case.operation.definition.raw["operationId"] in STRICTER else []


@schema.parametrize()
@EXAMPLES
def test_strangers(case: schemathesis.Case[Any], owner: Owner) -> None:
    """Whatever a stranger sends, valid or not, is answered as it is described, and is never a 500."""
    case.call_and_validate(base_url=owner.hub, excluded_checks=excluded(case))


@schema.exclude(operation_id=["signOut", "terminateUnit"]).parametrize()
@EXAMPLES
def test_owners(case: schemathesis.Case[Any], owner: Owner) -> None:
    """Whatever somebody sends about what is theirs is answered as it is described, and is never a 500."""
    if "pointer" in case.path_parameters:
        is_user = case.path.startswith("/users/")
        case.path_parameters["pointer"] = owner.user["pointer"] if is_user else owner.unit["pointer"]
        case.headers["X-SECRET-KEY"] = owner.user["secret"] if is_user else owner.unit["secrets"]["RW"]
    # The secret is put in after the secrets were made that should fail; strangers see that they do.
    case.call_and_validate(base_url=owner.hub, excluded_checks=[*excluded(case), ignored_auth])


def test_the_description_is_served(owner: Owner) -> None:
    """`/openapi.json` is what is held against the hub here."""
    assert requests.get(f"{owner.hub}/openapi.json", timeout=10).json() == description()


def test_every_route_is_described(tmp_path: Any) -> None:
    """The description has the hub's routes, all of them and no other."""
    router = create_app(tmp_path).router
    routes = {(route.method, route.resource.canonical) for route in router.routes() if route.resource is not None}
    described = {
        (method.upper(), path)
        for path, methods in description()["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert isinstance(router, web.UrlDispatcher)
    assert {(method, path) for method, path in routes if method != "HEAD"} == described

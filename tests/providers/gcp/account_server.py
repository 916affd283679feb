"""The token servers of Google and of the identities it trusts: STS, IAM credentials, OAuth, EC2's metadata service."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from time import time
from typing import Any, Self
from urllib.parse import unquote

import jwt
from aiohttp import web

__all__ = ["AccountServer"]

_LENIENT: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
_ROLE = {"AccessKeyId": "ASIAOFMACHINE", "SecretAccessKey": "hush-key", "Token": "hush-session"}


@dataclass
class AccountServer:
    """Exchanges `subject-token`, a signed request of AWS or a refresh token for `federated`, which IAM exchanges, too.

    Attributes:
        url: where it listens.
        asked: the path of each request.
        forms: what STS and OAuth were sent.
        tokens_sent: the `Authorization` of each request to IAM.
        refusals: paths that are refused, with their status and body.
        lifetime: whether responses tell how long a token lasts.
        offset: seconds by which its clock is ahead of this machine's.
        key: the public key of the service account that it knows.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    tokens_sent: list[str] = field(default_factory=list)
    refusals: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    lifetime: bool = True
    offset: float = 0.0
    key: Any = None

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._watched])
        application.add_routes(
            [
                web.post("/sts", self._sts),
                web.post("/oauth", self._oauth),
                web.post("/assertion", self._assertion),
                web.post("/v1/projects/-/serviceAccounts/{account}", self._impersonate),
                web.get("/subject", self._subject),
                web.put("/latest/api/token", self._imds_token),
                web.get("/latest/meta-data/placement/availability-zone", self._zone),
                web.get("/latest/meta-data/iam/security-credentials", self._role),
                web.get("/latest/meta-data/iam/security-credentials/{role}", self._role),
                web.get("/storage/v1/b", self._buckets),
            ]
        )
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def external(self, source: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """A file of a workload identity."""
        return {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/sts",
            "credential_source": source,
            **changes,
        }

    def aws(self) -> dict[str, Any]:
        """A file of a workload identity whose source is a role of AWS."""
        data = f"{self.url}/latest/meta-data"
        source = {
            "environment_id": "aws1",
            "region_url": f"{data}/placement/availability-zone",
            "url": f"{data}/iam/security-credentials",
            "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity",
            "imdsv2_session_token_url": f"{self.url}/latest/api/token",
        }
        return self.external(source, subject_token_type="urn:ietf:params:aws:token-type:aws4_request")

    def impersonation_url(self) -> str:
        """The URL that gives tokens of the account `robot`."""
        return f"{self.url}/v1/projects/-/serviceAccounts/robot@lab.example:generateAccessToken"

    @web.middleware
    async def _watched(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path)
        status, body = self.refusals.get(request.path.partition(":")[0], (0, {}))
        if status:
            return web.json_response(body, status=status)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _sts(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        subject = form["subject_token"]
        if "aws4_request" in form["subject_token_type"]:
            signed = json.loads(unquote(subject))
            headers = {each["key"].lower(): each["value"] for each in signed["headers"]}
            good = headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIAOFMACHINE/")
            good = good and headers["x-amz-security-token"] == "hush-session" and "eu-west-1" in signed["url"]
            signed_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            if abs(signed_at - time() - self.offset) > 300:
                text = "Received invalid AWS response of type: Signature expired: it is now earlier than it may be"
                body = {"error": "invalid_grant", "error_description": text}
                return web.json_response(body, status=400, headers=self._dated())
        else:
            good = subject == "subject-token"
        if not good:
            text = "The subject token is not valid"
            return web.json_response({"error": "invalid_grant", "error_description": text}, status=400)
        return self._token("federated", issued_token_type="urn:ietf:params:oauth:token-type:access_token")

    async def _oauth(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        if form.get("refresh_token") != "hush-refresh":
            return web.json_response({"error": "invalid_grant", "error_description": "Bad Request"}, status=400)
        return self._token("federated")

    async def _assertion(self, request: web.Request) -> web.Response:
        now, dated = time() + self.offset, self._dated()
        form = await request.post()
        claims = jwt.decode(str(form["assertion"]), self.key, ["RS256"], options=_LENIENT)
        self.forms.append({name: str(value) for name, value in claims.items()})
        if claims["iat"] > now + 300 or claims["exp"] < now - 300 or claims["exp"] > now + 3900:
            text = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim."
            )
            body = {"error": "invalid_grant", "error_description": text}
            return web.json_response(body, status=400, headers=dated)
        response = self._token("federated")
        response.headers.update(dated)
        return response

    async def _impersonate(self, request: web.Request) -> web.Response:
        self.tokens_sent.append(request.headers["Authorization"])
        ends = datetime.fromtimestamp(time() + self.offset + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return web.json_response({"accessToken": "impersonated", "expireTime": ends}, headers=self._dated())

    def _dated(self) -> dict[str, str]:
        return {"Date": formatdate(time() + self.offset, usegmt=True)}

    async def _subject(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata") != "true":
            return web.json_response({"error": "no header"}, status=400)
        return web.json_response({"access": "subject-token"})

    async def _imds_token(self, request: web.Request) -> web.Response:
        return web.Response(text="imds-token")

    async def _zone(self, request: web.Request) -> web.Response:
        return self._with_imds_token(request, "eu-west-1b")

    async def _role(self, request: web.Request) -> web.Response:
        return self._with_imds_token(request, json.dumps(_ROLE) if "role" in request.match_info else "the-role")

    async def _buckets(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") not in ("Bearer federated", "Bearer impersonated"):
            return web.json_response({"error": {"code": 401, "message": "no token"}}, status=401)
        return web.json_response({"kind": "storage#buckets", "items": [{"name": "bucket-one"}]})

    def _with_imds_token(self, request: web.Request, text: str) -> web.Response:
        if request.headers.get("X-aws-ec2-metadata-token") != "imds-token":
            return web.Response(status=401)
        return web.Response(text=text)

    def _token(self, token: str, **more: Any) -> web.Response:
        body = {"access_token": token, "token_type": "Bearer", **more}
        return web.json_response({**body, "expires_in": 3600} if self.lifetime else body)

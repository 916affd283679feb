"""The command `unit serve`."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from dxflow_async.cli.run import Flag, Texts
from dxflow_async.cli.serving import serve_until_told
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import printable
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app

__all__ = ["unit"]

unit = App(name="unit", help="Serve a directory as a compute unit's storage.", result_action="return_value")


@unit.command
def serve(
    *,
    root: Path,
    host: str = "127.0.0.1",
    port: int = 8790,
    secrets: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    insecure_http: Flag = False,
    allow_host: Texts = (),
    trusted_proxy: Texts = (),
    not_durable: Flag = False,
    json: Flag = False,
) -> int:
    """Serve a directory until SIGTERM or Ctrl-C. Running uploads then have 30 s to end.

    Args:
        root: The directory.
        host: The address to listen on. An address that other machines reach needs TLS, or --insecure-http.
        port: The port; 0 takes a free one.
        secrets: The file with the secrets RW and RO, which is made if it is missing; by default unit-secrets.json in
            DXFLOW_HOME.
        tls_cert: A PEM file with the certificate.
        tls_key: A PEM file with its key.
        insecure_http: Allow an address that other machines reach without TLS.
        allow_host: A host name that requests may use, besides the unit's own address; may be given several times.
            Behind a proxy on this machine: the name that the proxy passes on.
        trusted_proxy: The address or the network of a proxy in front of the unit, whose X-Forwarded-For names the
            client; may be given several times.
        not_durable: Answer before uploads are on disk: faster, but a power failure may lose them. The setting
            durable = false does the same.
        json: Print a JSON object when it listens.
    """
    settings = Settings.load()
    listening = Listening(
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure_http=insecure_http,
        allow_hosts=allow_host,
        trusted_proxies=trusted_proxy,
    )
    file = secrets or settings.home / "unit-secrets.json"
    if file.resolve().is_relative_to(root.resolve()):
        raise ConfigurationError(
            f"secrets = {str(file)!r} is inside the root, where clients could read it; give another path"
        )
    unit_secrets = UnitSecrets.load_or_create(file)
    app = create_unit_app(root, unit_secrets, durable=settings.durable and not not_durable)
    server = Server(app, listening, CONNECTION_OPTIONS)
    return serve_until_told(
        server, f"serving {printable(str(root))} at {{url}}; the secrets are in {printable(str(file))}", json=json
    )

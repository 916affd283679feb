"""Keys that the environment holds, read as botocore reads them, so that it need not be loaded for them.

Loading the SDK takes about a second of CPU on a slow machine, most of the time of a short command. Botocore asks the
environment before anything else, unless a profile is given. Whatever is less plain than two variables and no
configuration file is left to the SDK.

Source: botocore 1.40, `botocore.credentials.EnvProvider` and `create_credential_resolver`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from dxflow_async.config.texts import check_secret, trim
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.common.sigv4 import Credentials
from dxflow_async.security.redaction import Secret

__all__ = ["keys_of_environment", "token_of_environment"]

_OTHERS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CREDENTIAL_EXPIRATION")
_CONFIG = "~/.aws/config"
_TOKENS = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


def keys_of_environment(name: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """Returns the keys that botocore would find first; None if only botocore can tell. It looks for one file.

    Args:
        name: the remote's name, for messages.
        environ: the environment.
    """
    if any(environ.get(each) for each in _OTHERS):
        return None
    access, secret = (trim(environ.get(each, "")) for each in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if not access or not secret or os.path.lexists(os.path.expanduser(environ.get("AWS_CONFIG_FILE") or _CONFIG)):
        return None
    token = trim(next((token for each in _TOKENS if (token := environ.get(each))), ""))
    try:
        for key in (access, secret, token):
            check_secret(name, key)
    except ConfigurationError:
        return None  # whoever asks botocore says so
    return Credentials(access, Secret(secret), Secret(token) if token else None)


def token_of_environment(access_key: str, secret_key: str, environ: Mapping[str, str] = os.environ) -> Secret | None:
    """Returns the environment's session token if it belongs to a pair of keys, which the environment has, too.

    A token belongs to the keys that it was issued with. With any other keys it is useless, and is not sent.

    Raises:
        ConfigurationError: no header can carry the token.
    """
    pair = tuple(trim(environ.get(each, "")) for each in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if pair != (access_key, secret_key):
        return None
    token = trim(next((token for each in reversed(_TOKENS) if (token := environ.get(each))), ""))
    check_secret("AWS_SESSION_TOKEN", token)
    return Secret(token) if token else None

"""OAUTHBEARER's tokens: from a file, or asked for with client credentials (RFC 6749 section 4.4)."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request

from kafka.net.sasl.oauth import AbstractTokenProvider

from daemon.config.kafka import SaslOauth
from daemon.errors import StreamDenied

TIMEOUT_S = 10.0
EARLY_S = 30.0
"""A token is asked for anew so long before it expires."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """``token()`` is called at every connection. Raises StreamDenied where there is none to be had."""

    def __init__(self, settings: SaslOauth) -> None:
        super().__init__()
        self._settings = settings
        self._token, self._until = "", 0.0

    def token(self) -> str:
        file = self._settings.token_file
        if file is not None:
            try:
                return file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise StreamDenied(f"stream.kafka.sasl.token_file = {str(file)!r}: cannot be read: {error}") from None
        if time.monotonic() >= self._until:
            self._token, lifetime_s = self._ask()
            self._until = time.monotonic() + max(0.0, lifetime_s - EARLY_S)
        return self._token

    def _ask(self) -> tuple[str, float]:
        """A new token and its lifetime in seconds."""
        settings = self._settings
        assert settings.token_url is not None
        assert settings.client_id is not None
        assert settings.client_secret is not None
        form = {"grant_type": "client_credentials", **({"scope": settings.scope} if settings.scope else {})}
        pair = (
            f"{urllib.parse.quote(settings.client_id)}:{urllib.parse.quote(settings.client_secret.get_secret_value())}"
        )
        request = urllib.request.Request(
            settings.token_url,
            data=urllib.parse.urlencode(form).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
                "Accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                found = json.load(answer)
            return str(found["access_token"]), float(found.get("expires_in", 0))
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the answer too, and holds the connection
            raise StreamDenied(f"stream.kafka.sasl.token_url = {settings.token_url!r}: no token: {error}") from None

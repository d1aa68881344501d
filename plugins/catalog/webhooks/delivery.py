"""One delivery: the address taken apart, the signature, the exchange, and its outcome in the words of a job."""

from __future__ import annotations

import re
from typing import Any

import httpcore
import httpx

from engine import Context, Discard, SettingsError
from plugins.catalog.webhooks.addresses import AddressRefused
from plugins.catalog.webhooks.answers import DeliveryFailed, refuse_failure, shown
from plugins.catalog.webhooks.sending import Answer, Bounds, Call, exchange
from plugins.catalog.webhooks.signing import signature_headers
from plugins.catalog.webhooks.tasks import LONGEST_URL
from plugins.services import Services

#: signs when no name is given
DEFAULT_SECRET = "default"
_HOST = re.compile(rb"[A-Za-z0-9._\-]{1,253}\Z|[0-9A-Fa-f:.]{2,45}\Z")
_TEMPORARY = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.RemoteProtocolError, OSError)


class Delivery:
    """One attempt to deliver."""

    def __init__(self, services: Services, ctx: Context, method: str, url: str, secret_name: str | None) -> None:
        self._services = services
        self._ctx = ctx
        self._method = method
        self._url = parsed(url)
        self._secret_name = secret_name
        #: the address without its query
        self._where = f"{method} {self._url.scheme}://{self._url.netloc.decode()}{self._url.path}"[:300]

    def send(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """Send once; raises what becomes of the job unless the event was taken."""
        signature = self._signature(body)
        call = self._call(body, {**headers, "webhook-id": self._ctx.job_id, **signature})
        clock = self._services.clock
        began = clock.monotonic()
        answer = self._exchange(call)
        seconds = round(clock.monotonic() - began, 3)
        self._ctx.log.info("%s answered %d in %.3f s", self._where, answer.status, seconds)
        refuse_failure(answer, self._where, clock.now())
        return self._result(answer, bool(signature), seconds)

    def _exchange(self, call: Call) -> Answer:
        try:
            return exchange(call, self._bounds(), self._services.clock, self._ctx.check_cancelled)
        except AddressRefused as error:
            raise Discard(f"{self._where}: refused: {error}") from error
        except _TEMPORARY as error:
            raise DeliveryFailed(f"{self._where}: {error or type(error).__name__}") from error
        except httpcore.LocalProtocolError as error:
            raise Discard(f"{self._where}: the request cannot be sent: {error}") from error

    def _signature(self, body: bytes) -> dict[str, str]:
        try:
            secret = self._services.secret(self._secret_name or DEFAULT_SECRET)
            return signature_headers(secret, self._ctx.job_id, self._services.clock.now(), body)
        except KeyError:
            if self._secret_name is None:
                self._ctx.log.warning("sent without a signature: there is no secret named %s", DEFAULT_SECRET)
                return {}
            raise Discard(self._no_secret("there is none of that name")) from None
        except (ValueError, SettingsError) as error:
            raise Discard(self._no_secret(str(error))) from error

    def _no_secret(self, why: str) -> str:
        file = self._services.settings.home / "secrets" / "webhooks.toml"
        return f"secret_name {self._secret_name or DEFAULT_SECRET!r:.60}: {why}; secrets stand in {file} (mode 0600)"

    def _call(self, body: bytes, headers: dict[str, str]) -> Call:
        url = self._url
        port = url.port or (443 if url.scheme == "https" else 80)
        own = {"host": url.netloc.decode(), "accept": "*/*", "accept-encoding": "identity"}
        sent = {**own, **headers, "content-length": str(len(body)), "connection": "close"}
        return Call(self._method, url.scheme, url.raw_host.decode(), port, url.raw_path.decode(), sent, body)

    def _bounds(self) -> Bounds:
        option = self._services.option
        return Bounds(
            connect_seconds=option("connect_seconds"),
            seconds=option("seconds"),
            max_answer=option("max_answer"),
            allow_private=self._services.settings.allow_private_addresses,
            ca_file=option("ca_file"),
        )

    def _result(self, answer: Answer, signed: bool, seconds: float) -> dict[str, Any]:
        kind = answer.headers.get("content-type", "")[:200]
        facts = {"content_type": kind, "webhook_id": self._ctx.job_id, "signed": signed, "seconds": seconds}
        return {"status": answer.status, "body": shown(answer.body), "truncated": answer.cut, **facts}


def parsed(url: str) -> httpx.URL:
    """The address taken apart; ``Discard`` if it is none that we deliver to.  Messages don't hold it: it may hold a
    password."""
    if len(url) > LONGEST_URL:
        raise Discard(f"url: longer than {LONGEST_URL:,} characters")
    try:
        found = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise Discard(f"url: not an address: {error}") from None
    if found.scheme not in {"http", "https"}:
        raise Discard(f"url: expected http:// or https://, got the scheme {found.scheme!r:.20}")
    if not found.raw_host:
        raise Discard("url: it names no host")
    if not _HOST.match(found.raw_host) or not 0 < (found.port or 80) < 65_536:
        raise Discard("url: not an address: its host or port holds what none can have")
    if found.userinfo:
        raise Discard("url: a name or password before the host is refused; send them as a header, or sign")
    return found

"""Webhooks against a real server: what arrives, what is tried again, what is refused, and that it always ends."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine import Cancel, Discard, RetryAfter
from plugins.catalog.webhooks.answers import DeliveryFailed
from plugins.catalog.webhooks.signing import signature_headers
from tests.support.plugins import configure, functions
from tests.support.tasks import Heard, context
from tests.support.web import answer, drip, hang_up, silence, site


@pytest.fixture
def home(tmp_path: Path) -> Path:
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    file = secrets / "webhooks.toml"
    file.write_text('shop = "whsec_c2VjcmV0LXNlY3JldA=="\n')
    file.chmod(0o600)
    configure(tmp_path, "webhooks", "max_answer = 1000\nconnect_seconds = 30.0\n")
    return tmp_path


def deliver(
    home: Path, url: str, heard: Heard | None = None, allowed: bool = True, job: str = "job-1", **args: Any
) -> Any:
    task = functions(home, allow_private_addresses=allowed)["webhooks.deliver"]
    return task(context("webhooks.deliver", heard, id=job), url=url, **args)


def test_an_event_arrives_signed_so_that_the_receiver_can_check_it(home: Path) -> None:
    with site(answer(202, b"taken")) as there:
        result = deliver(
            home,
            there.url("/hook?key=1"),
            body={"order": 7},
            event="order.paid",
            secret_name="shop",
            headers={"X-Trace": "t"},
        )
    received = there.received[0]
    assert (received.method, received.path, received.body) == ("POST", "/hook?key=1", b'{"order":7}')
    assert received.headers["content-type"] == "application/json" and received.headers["x-trace"] == "t"
    assert received.headers["webhook-event"] == "order.paid"
    assert received.headers["host"] == f"127.0.0.1:{there.server_port}"
    at = float(received.headers["webhook-timestamp"])
    expected = signature_headers("whsec_c2VjcmV0LXNlY3JldA==", "job-1", at, received.body)
    assert {name: received.headers[name] for name in expected} == expected
    assert result["status"] == 202 and result["body"] == "taken" and result["signed"] and not result["truncated"]
    assert result["webhook_id"] == "job-1" and "secret" not in str(result)


def test_every_attempt_of_a_job_has_the_same_id(home: Path) -> None:
    with site(answer(500), answer(200)) as there:
        with pytest.raises(DeliveryFailed, match="answered 500"):
            deliver(home, there.url())
        deliver(home, there.url())
    assert [each.headers["webhook-id"] for each in there.received] == ["job-1", "job-1"]


def test_without_a_secret_it_is_sent_unsigned_and_says_so_but_a_named_one_must_be_there(home: Path) -> None:
    heard = Heard()
    with site() as there:
        assert not deliver(home, there.url(), heard)["signed"]
        with pytest.raises(
            Discard, match=r"secret_name 'bank': there is none of that name; secrets stand in .*webhooks.toml"
        ):
            deliver(home, there.url(), secret_name="bank")
    assert "webhook-signature" not in there.received[0].headers and len(there.received) == 1
    assert any(line.startswith("WARNING sent without a signature") for line in heard.lines)


def test_a_server_that_asks_to_wait_is_obeyed(home: Path) -> None:
    with site(answer(429, headers={"retry-after": "42"})) as there, pytest.raises(RetryAfter) as caught:
        deliver(home, there.url())
    assert caught.value.seconds == 42


def test_a_request_that_is_wrong_ends_the_job_with_the_servers_words(home: Path) -> None:
    with (
        site(answer(422, b'{"error": "no such order"}')) as there,
        pytest.raises(Discard, match=r"422: .*no such order"),
    ):
        deliver(home, there.url())


def test_a_redirect_is_not_followed(home: Path) -> None:
    with site() as hidden, site(answer(302, headers={"location": hidden.url("/admin")})) as there:
        with pytest.raises(Discard, match="302, a redirect, which is not followed"):
            deliver(home, there.url())
        assert hidden.received == []


@pytest.mark.parametrize("script", [drip, silence])
def test_a_server_that_is_slow_or_silent_costs_no_more_than_the_time_allowed(home: Path, script: Any) -> None:
    configure(home, "webhooks", "seconds = 0.6")
    with site(script) as there, pytest.raises(DeliveryFailed, match=r"0\.6 s|timed out"):
        deliver(home, there.url())


def test_a_server_that_hangs_up_or_is_not_there_is_tried_again(home: Path) -> None:
    with site(hang_up) as there, pytest.raises(DeliveryFailed):
        deliver(home, there.url())
    with pytest.raises(DeliveryFailed, match="refused"):
        deliver(home, there.url())


def test_only_the_beginning_of_a_huge_answer_is_read(home: Path) -> None:
    with site(answer(200, b"y" * 50_000_000)) as there:
        result = deliver(home, there.url())
    assert result["truncated"] and result["body"] == "y" * 1000


def test_private_addresses_are_refused_before_a_connection_is_made(home: Path) -> None:
    with site() as there:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "127.1"):
            with pytest.raises(Discard, match="loopback address; allow_private_addresses would allow it"):
                deliver(home, there.url(host=host), allowed=False)
        assert there.received == []


def test_a_proxy_named_in_the_environment_is_not_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as proxy, site() as there:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        deliver(home, there.url())
        assert len(there.received) == 1 and proxy.received == []


def test_a_name_that_answers_differently_the_second_time_reaches_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.example":
            return real(host, *args, **kwargs)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with site() as there:
        deliver(home, there.url(host="rebind.example"))
    assert len(asked) == 1
    assert there.received[0].headers["host"] == f"rebind.example:{there.server_port}"


def test_a_wish_to_stop_is_heard_while_the_answer_comes_in(home: Path) -> None:
    with site(drip) as there, pytest.raises(Cancel):
        deliver(home, there.url(), Heard(cancel_when=lambda heard: True))


def test_neither_secret_nor_query_gets_into_an_error_or_a_log(home: Path) -> None:
    heard = Heard()
    with site(answer(500)) as there, pytest.raises(DeliveryFailed) as caught:
        deliver(home, there.url("/hook?token=hunter2"), heard, secret_name="shop")
    told = str(caught.value) + "".join(heard.lines)
    assert "/hook" in told and "hunter2" not in told and "c2VjcmV0" not in told


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for ``hooks.example`` and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_over_tls_the_certificate_must_fit_the_name_and_be_trusted(
    home: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **kwargs: real("127.0.0.1", *args, **kwargs))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with site(tls=tls) as there:
        with pytest.raises(DeliveryFailed, match="certificate verify failed"):
            deliver(home, there.url(host="hooks.example"))
        configure(home, "webhooks", f'ca_file = "{certificate}"\nconnect_seconds = 30.0\n')
        with pytest.raises(DeliveryFailed, match="Hostname mismatch"):
            deliver(home, there.url(host="other.example"))
        assert deliver(home, there.url(host="hooks.example"))["status"] == 200
        assert len(there.received) == 1

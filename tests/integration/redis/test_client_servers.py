"""The client where there is more than one server: a fail-over behind Sentinels, a Cluster that moves its slots; and TLS."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.kernel.clock import FakeClock
from engine.kernel.errors import SettingsError, Unreachable
from engine.storage.redis.client import Client, Script
from engine.storage.redis.connect import Host, target_of
from engine.storage.redis.routes import ASK_EVERY
from tests.support.redis_hosts import WATCHED, RedisCluster, RedisHost, Sentinels, redis_host, sentinel
from tests.support.waiting import until

PUSH = Script.of("push", "return redis.call('RPUSH', KEYS[1] .. 'list', ARGV[1])")
#: seconds that a server may take that is well: more than a busy machine keeps it standing still
ANSWER = 20.0
QUEUES = [f"{{hf:main:q{index}}}:" for index in range(12)]


@contextmanager
def client_of(url: str, **options: Any) -> Iterator[Client]:
    """A client that is closed at the end."""
    made = Client(target_of(url, **{"timeout": ANSWER} | options))
    try:
        yield made
    finally:
        made.close()


def pushes(client: Client, tag: str = QUEUES[0]) -> bool:
    """Whether a write goes through."""
    try:
        client.call(PUSH, tag, "x")
    except Unreachable:
        return False
    return True


def test_a_fail_over_is_followed_without_being_told(redis_sentinels: Sentinels) -> None:
    with client_of(redis_sentinels.url) as client:
        until(lambda: pushes(client))
        before = client.server().run_id
        redis_sentinels.fail_over()
        until(lambda: pushes(client), 60, "writes go to the new primary")
        assert client.server().run_id != before
        assert client.server().role == "master"
        redis_sentinels.mend()


def test_a_primary_that_the_sentinels_name_no_more_is_left_though_it_answers() -> None:
    clock = FakeClock()
    with redis_host() as old, redis_host() as new, sentinel(old) as watcher:
        client = Client(target_of(f"redis+sentinel://127.0.0.1:{watcher.port}/{WATCHED}", timeout=ANSWER), clock)
        try:
            assert pushes(client)
            watcher.cli("SENTINEL", "REMOVE", WATCHED)
            watcher.cli("SENTINEL", "MONITOR", WATCHED, "127.0.0.1", new.port, 1)
            client.run_once()
            assert pushes(client)
            clock.advance(ASK_EVERY)
            client.run_once()
            assert pushes(client)
        finally:
            client.close()
        assert [host.cli("LLEN", QUEUES[0] + "list") for host in (old, new)] == [2, 1]


def test_sentinels_that_do_not_know_the_name_or_do_not_answer_are_told_apart(redis_sentinels: Sentinels) -> None:
    with (
        client_of(redis_sentinels.url.replace("/holdfast/", "/another/")) as client,
        pytest.raises(Unreachable, match="no Sentinel knows that primary"),
    ):
        client.call(PUSH, QUEUES[0], "x")
    with (
        client_of("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main/0") as client,
        pytest.raises(Unreachable, match="no Sentinel answers"),
    ):
        client.call(PUSH, QUEUES[0], "x")


def test_a_pipeline_over_a_cluster_is_split_by_node_and_answered_in_order(redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    with client_of(redis_cluster.url) as client:
        answers = client.pipeline([(PUSH, tag, (index,)) for index, tag in enumerate(QUEUES * 2)])
        assert answers == [1] * len(QUEUES) + [2] * len(QUEUES)
        groups = client.tags_by_node(QUEUES)
        assert len(groups) == 3
        assert sorted(tag for group in groups for tag in group) == sorted(QUEUES)
        assert client.everywhere("PING") == [b"PONG"] * 3
        assert client.command("LRANGE", QUEUES[3] + "list", 0, -1) == [b"3", b"15"]
        assert client.blocking(1, "BLPOP", QUEUES[3] + "list", 1) == [(QUEUES[3] + "list").encode(), b"3"]
        assert client.server().nodes == 3


def test_calls_follow_a_slot_while_it_moves_and_after_it_moved(redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    tag = QUEUES[0]
    with client_of(redis_cluster.url) as client:
        assert client.call(PUSH, tag, "a") == 1
        slot = client.slot(tag)
        source = next(host for host in redis_cluster.hosts if host.cli("CLUSTER", "COUNTKEYSINSLOT", slot))
        target = next(host for host in redis_cluster.hosts if host is not source)
        with migrating(slot, source, target):
            # the key left already, the slot did not: the node says ASK
            source.cli("MIGRATE", "127.0.0.1", target.port, tag + "list", 0, 5000)
            assert client.call(PUSH, tag, "b") == 2
            assert client.pipeline([(PUSH, tag, ("c",)), (PUSH, QUEUES[1], ("d",))])[0] == 3
            assert client.command("LLEN", tag + "list") == 3
        assert client.call(PUSH, tag, "e") == 4
        assert client.call(PUSH, tag, "f") == 5
        with migrating(slot, target, source):
            target.cli("MIGRATE", "127.0.0.1", source.port, tag + "list", 0, 5000)
        assert client.call(PUSH, tag, "g") == 6


@contextmanager
def migrating(slot: int, source: RedisHost, target: RedisHost) -> Iterator[None]:
    """A slot on its way; at the end it has moved."""
    there = target.cli("CLUSTER", "MYID")
    target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source.cli("CLUSTER", "MYID"))
    source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
    yield
    for host in (target, source):
        host.cli("CLUSTER", "SETSLOT", slot, "NODE", there)


def test_a_node_of_a_cluster_that_is_away_fails_its_own_queues_only(redis_cluster: RedisCluster) -> None:
    with client_of(redis_cluster.url, timeout=3.0) as client:
        until(lambda: all(pushes(client, tag) for tag in QUEUES))
        away = redis_cluster.hosts[2]
        away.freeze()
        try:
            answers = client.pipeline([(PUSH, tag, ("x",)) for tag in QUEUES])
        finally:
            away.thaw()
            redis_cluster.mend()
        assert {type(answer) for answer in answers} == {int, Unreachable}
        until(lambda: all(pushes(client, tag) for tag in QUEUES), 60, "the node is back")


def test_a_cluster_that_is_named_as_one_server_says_how_to_name_it(redis_cluster: RedisCluster) -> None:
    with client_of(f"redis://127.0.0.1:{redis_cluster.hosts[0].port}") as client:
        refused = [answer for answer in client.pipeline([(PUSH, tag, ("x",)) for tag in QUEUES])
                   if isinstance(answer, Unreachable)]  # fmt: skip
    assert refused
    assert "name it with redis+cluster://" in str(refused[0])


class Authority:
    """A CA that lives as long as the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA {folder.name}")])
        self.ca = self._write("ca", self._signed(self._name, self._key.public_key(), authority=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key for loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self.folder / f"{name}-key.pem"
        file.write_bytes(secret)
        return self._write(name, self._signed(subject, key.public_key(), authority=False)), file

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), now - day, now + day)
        made = made.add_extension(x509.BasicConstraints(authority, None), critical=True)
        return (made if authority else made.add_extension(names, critical=False)).sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        file = self.folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return file


def test_tls_checks_the_server_and_shows_a_certificate_of_ours(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    ours, our_key = authority.issue("client")
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    port = RedisHost(tmp_path).port
    tls = {"tls_port": port, "tls_cert_file": cert, "tls_key_file": key, "tls_ca_cert_file": authority.ca}
    url = f"rediss://127.0.0.1:{port}/0"
    with redis_host(**tls):
        with client_of(url, ca=authority.ca, cert=ours, key=our_key) as client:
            assert pushes(client)
            client.disconnect()
            assert pushes(client)
        for options in ({"ca": stranger.ca, "cert": ours, "key": our_key}, {"ca": authority.ca}):
            with client_of(url, **options) as client, pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
                client.call(PUSH, QUEUES[0], "x")
        with client_of(f"redis://127.0.0.1:{port}/0", timeout=0.5) as client, pytest.raises(Unreachable):
            client.call(PUSH, QUEUES[0], "x")


def test_a_target_is_read_from_all_forms_of_a_url() -> None:
    assert target_of("redis://h").hosts == (Host("h", 6379),)
    assert target_of("redis://[::1]:7/3").address == "redis://[::1]:7/3"
    watched = target_of("redis+sentinel://u:p%40@a,b:7/main/2")
    assert (watched.hosts, watched.service, watched.db) == ((Host("a", 26_379), Host("b", 7)), "main", 2)
    assert watched.password is not None
    assert (watched.username, watched.password.reveal()) == ("u", "p@")
    assert watched.address == "redis+sentinel://a:26379,b:7/main/2"
    assert target_of("rediss+cluster://a:1,b:2").address == "rediss+cluster://a:1,b:2"
    assert target_of("rediss://h").tls is not None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://u:hunter2@h", "expected a URL that begins with redis://"),
        ("redis://:hunter2@h/zero", "expected the number of a database"),
        ("redis://u:hunter2@a,b", "names one host"),
        ("redis://u:hunter2@h:99999", "expected host or host:port"),
        ("redis://u:hunter2@", "expected host or host:port"),
        ("redis+sentinel://u:hunter2@a,b", "needs the name of the primary"),
        ("redis+cluster://u:hunter2@a/3", "one database only"),
        ("redis://u:hunter2@h/0?ssl=true", "nothing may follow the database"),
    ],
)
def test_a_wrong_url_is_told_with_its_mend_and_without_its_password(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"^redis: ") as told:
        target_of(url)
    assert words in str(told.value)
    assert "hunter2" not in str(told.value)


def test_certificates_belong_to_tls_and_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the URL is not for TLS"):
        target_of("redis://h", ca=tmp_path / "ca.pem")
    with pytest.raises(SettingsError, match=r"redis_ca: there is no file .*ca\.pem"):
        target_of("rediss://h", ca=tmp_path / "ca.pem")

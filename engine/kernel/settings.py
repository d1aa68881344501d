"""All settings, in one frozen object that is right as soon as it exists.

Each field carries its parser, its meaning (from which docs/configuration.md is made) and an example (which is also the
mend that an error suggests).  Where values come from, and their precedence, is the business of ``sources.py``; nothing
else in the house reads the environment.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.kernel import values
from engine.kernel.conflicts import conflicts
from engine.kernel.errors import SettingsError
from engine.kernel.queues import PRESETS, queue_tables
from engine.kernel.values import Parser, Secret

__all__ = ["PRESETS", "Option", "Secret", "Settings", "options", "user_data_folder"]

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
DAY = 86_400.0
REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


class Option(NamedTuple):
    """What is known about one setting besides its value."""

    name: str
    parse: Parser
    meaning: str
    #: a right value as people write it
    example: str
    default: Any
    #: not offered as a flag, because flags are seen by every user of the machine
    secret: bool
    #: default in words, where the value would differ from machine to machine
    default_text: str


def setting(
    default: Any,
    parse: Parser,
    example: str,
    meaning: str,
    *,
    secret: bool = False,
    default_text: str = "",
    shown: bool = True,
) -> Any:
    """A field of ``Settings``.  A callable default is called each time; ``shown`` is whether ``repr`` tells it."""
    about = {"parse": parse, "meaning": meaning, "example": example, "secret": secret, "default_text": default_text}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=about, repr=shown)
    return dataclasses.field(default=default, metadata=about, repr=shown)


def user_data_folder(platform: str = sys.platform, environ: Any = os.environ) -> Path:
    """Where this platform keeps a user's application data: ``…/holdfast``."""
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "holdfast"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "holdfast"
    given = environ.get("XDG_DATA_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".local" / "share") / "holdfast"


def copy_of_presets() -> dict[str, dict[str, Any]]:
    """The preset queues, for one settings object to own."""
    return {name: dict(table) for name, table in PRESETS.items()}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that can be set.  Raises ``SettingsError``, one line per wrong value."""

    home: Path = setting(
        user_data_folder, values.path, "/var/lib/holdfast",
        "Folder that holds all state: history, sealed store, keys, logs. Made at first start, readable by its user only.",
        default_text="the platform's user data folder",
    )  # fmt: skip
    config: Path | None = setting(
        None, values.optional(values.path), "/etc/holdfast.toml", "TOML file with settings; its keys are these names."
    )
    host: str = setting(
        "127.0.0.1", values.address, "127.0.0.1",
        "Address on which the console and the API listen. Anything but loopback opens them to the network.",
    )  # fmt: skip
    port: int = setting(8080, values.integer(0, 65_535), "8080", "Port of the console and the API; 0 takes a free one.")
    redis: str = setting(
        "", values.url(*REDIS_SCHEMES), "redis://localhost:6379/0",
        "URL of the Redis through which this node joins a fleet: `redis://`, `rediss://` (TLS), "
        "`redis+sentinel://h1:26379,h2:26379/name/db`, `redis+cluster://h1:6379,h2:6379`. Without it the node works alone.",
        shown=False,
    )  # fmt: skip
    redis_username: str = setting("", values.text, "holdfast", "ACL user of the Redis; better here than in its URL.")
    redis_password: Secret | None = setting(
        None, values.secret, "a-long-random-text", "Password of the Redis; better here than in its URL.", secret=True
    )
    redis_ca: Path | None = setting(
        None, values.optional(values.path), "/etc/holdfast/redis-ca.pem",
        "Certificates that the Redis must be signed by when it is reached with TLS.",
        default_text="those that the system trusts",
    )  # fmt: skip
    redis_cert: Path | None = setting(
        None, values.optional(values.path), "/etc/holdfast/redis.pem",
        "Certificate that this node shows to the Redis; needs `redis_key`.",
    )  # fmt: skip
    redis_key: Path | None = setting(
        None, values.optional(values.path), "/etc/holdfast/redis-key.pem", "Private key of `redis_cert`."
    )  # fmt: skip
    redis_pool_min: int = setting(
        1, values.integer(0, 1_000), "2", "Connections to Redis that are kept open when nothing happens."
    )
    redis_pool_max: int = setting(
        32, values.integer(1, 10_000), "32", "Most connections to Redis at a time; who needs one more waits for it."
    )
    redis_timeout: float = setting(
        2.0, values.seconds(0.05, 60), "2s", "How long Redis may take to answer before it counts as unreachable."
    )
    failover: str = setting(
        "automatic", values.choice("automatic", "manual", "airgap-safe"), "automatic",
        "What a loss of Redis does: `automatic` goes on alone and returns by itself; `manual` goes on accepting jobs, runs "
        "local ones only after `airgap force` and returns only by `airgap release`; `airgap-safe` starts cut off, and sends "
        "nothing until it is released.",
    )  # fmt: skip
    database: str = setting(
        "", values.url("sqlite", "postgresql", "postgresql+psycopg"), "postgresql://holdfast@db/holdfast",
        "URL of the database that keeps the history.", default_text="`holdfast.db` (SQLite) under home", shown=False,
    )  # fmt: skip
    tasks: tuple[str, ...] = setting(
        (), values.several(values.module), "shop.tasks", "Python modules whose tasks are loaded at start."
    )
    browser: bool = setting(True, values.boolean, "false", "Open the browser at start when there is a desktop.")
    admin_token: Secret | None = setting(
        None, values.secret, "a-long-random-text",
        "Fixes the administrator's token, at least 16 characters. Otherwise one is made at first start and shown once.",
        secret=True,
    )  # fmt: skip
    workers: int = setting(8, values.integer(1, 256), "8", "Jobs that run at the same time in this process.")
    fleet: str = setting(
        "main", values.name, "factory-2", "Fleet that this process belongs to, among those that share a Redis."
    )
    agent_name: str | None = setting(
        None, values.optional(values.name), "press-3", "Name of this process in the fleet, for people.",
        default_text="its id: the host's name and six digits that stay with the home",
    )  # fmt: skip
    capabilities: tuple[str, ...] = setting(
        (), values.several(values.name), "gpu,ocr",
        "What this process has that some jobs need. A job that needs a capability runs only where it is named here.",
    )  # fmt: skip
    tenants: tuple[str, ...] = setting(
        (),
        values.several(values.name),
        "acme",
        "Tenants whose jobs alone this process takes; none named: those of all.",
    )
    serve: tuple[str, ...] = setting(
        (), values.several(values.name), "emails,ocr", "Queues whose jobs alone this process takes; none named: all."
    )
    processes: int = setting(
        1, values.integer(1, 64), "4", "Processes that `run.py agent` starts, each an agent with workers of its own."
    )
    durability: str = setting(
        "power", values.choice("power", "process", "redis"), "power",
        "What an accepted job survives: `power` syncs the disk before it is acknowledged, `process` survives the death "
        "of the process but not a power cut, and is faster; `redis` trusts Redis to keep it, which is the fastest and as "
        "safe as that Redis is. A queue may have a setting of its own.",
    )  # fmt: skip
    store_limit: int = setting(
        4 * GIB, values.size(MIB, 64 * TIB), "4GiB",
        "Most bytes that the sealed store takes. At 100 % new jobs are refused; a tenth is kept for outcomes.",
    )  # fmt: skip
    key_source: str = setting(
        "file", values.choice("file", "passphrase", "environment"), "file",
        "What opens the key ring: a `file` under home made at first start, a `passphrase`, or a key from the `environment`.",
    )  # fmt: skip
    passphrase: Secret | None = setting(
        None,
        values.secret,
        "several-words-in-a-row",
        "Opens the key ring when `key_source` is `passphrase`.",
        secret=True,
    )
    key: Secret | None = setting(
        None, values.secret, "32 bytes in base64", "Opens the key ring when `key_source` is `environment`.", secret=True
    )
    result_ttl: float = setting(
        DAY, values.seconds(0, 3650 * DAY), "24h", "How long the live store keeps a result for `job.result()`."
    )
    result_limit: int = setting(
        100_000, values.integer(0, 10_000_000), "100000",
        "Most ended jobs that the live store remembers with their results; the oldest go first. History has them all.",
    )  # fmt: skip
    idempotency_ttl: float = setting(
        DAY,
        values.seconds(0, 3650 * DAY),
        "24h",
        "How long an idempotency key names its first job after that job ended.",
    )
    history_days: int = setting(
        30, values.integer(1, 36_500), "30", "Days that ended jobs stay in the history before they are pruned."
    )
    resync_rate: int = setting(
        0, values.integer(0, 10_000_000), "20000",
        "Most events a second that a node gives Redis while it catches up; 0 for no limit.",
    )  # fmt: skip
    journal_retention: float = setting(
        DAY, values.seconds(0, 3650 * DAY), "24h",
        "How long read segments of the journal are kept after a checkpoint covers them, also to give a Redis back what it "
        "forgot; less when the store needs room.",
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = setting(
        (), values.several(values.address), "jobs.example.org",
        "Host names under which the console may be called, besides loopback and `host`.",
    )  # fmt: skip
    session_hours: float = setting(
        12.0, lambda value: values.seconds(60, 365 * DAY)(hours(value)) / 3600, "12", "Hours that a sign-in lasts."
    )
    allow_private_addresses: bool = setting(
        False, values.boolean, "true",
        "Let webhooks go to private, loopback and link-local addresses. Off, they cannot be used to reach inner services.",
    )  # fmt: skip
    max_payload: int = setting(
        MIB, values.size(KIB, 64 * MIB), "1MiB", "Largest arguments and metadata of one job, as JSON."
    )
    max_batch: int = setting(10_000, values.integer(1, 1_000_000), "10000", "Most jobs in one bulk request.")
    log_level: str = setting(
        "info", values.choice("debug", "info", "warning", "error"), "info", "Least level that is written to the log."
    )
    queues: dict[str, dict[str, Any]] = setting(
        copy_of_presets, queue_tables, '{"emails": {"concurrency": 10, "rate_limit": "100/m"}}',
        "Queues and their limits; a table `[queues.NAME]` in the file, JSON in the environment. Presets not named stay.",
        default_text="the presets below",
    )  # fmt: skip
    fault: str = setting(
        "", values.text, "finish.after_commit:3",
        "Kills this process at a named fault point (`name[:n]`, the n-th time). For crash tests only.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        problems = list(self._parse()) or list(conflicts(self))
        if problems:
            raise SettingsError("\n".join(problems))

    def _parse(self) -> Iterator[str]:
        for option in options():
            try:
                object.__setattr__(self, option.name, option.parse(getattr(self, option.name)))
            except ValueError as error:
                yield f"{option.name}: {error}; try {option.example}"


def hours(value: Any) -> Any:
    """A bare number of hours as text that ``seconds`` understands; a span with a unit stays."""
    if isinstance(value, bool):
        return value
    return f"{value}h" if isinstance(value, int | float) or str(value).replace(".", "", 1).isdigit() else value


def options() -> list[Option]:
    """All settings in the order of ``Settings``."""
    return [_option(field) for field in dataclasses.fields(Settings)]


def _option(field: dataclasses.Field[Any]) -> Option:
    about = field.metadata
    default = None if field.default is dataclasses.MISSING else field.default
    return Option(
        field.name, about["parse"], about["meaning"], about["example"], default, about["secret"], about["default_text"]
    )

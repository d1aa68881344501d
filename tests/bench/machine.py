"""Where the figures were taken: processor, cores, disk, versions, and how busy the machine was with other things."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib import metadata
from pathlib import Path

import msgspec
import psutil

from tests.bench.rounds import ROOT


class Machine(msgspec.Struct, frozen=True):
    """The surroundings of a run."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    filesystem: str
    python: str
    sqlite: str
    versions: dict[str, str]
    commit: str

    def line(self) -> str:
        """For a person."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.filesystem}; {self.system}; "
            f"Python {self.python}, SQLite {self.sqlite}, {versions}; commit {self.commit}"
        )


def here(folder: Path) -> Machine:
    """This machine; ``folder`` is on the disk that is measured."""
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        filesystem=filesystem(folder),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        versions={name: metadata.version(name) for name in ("huey", "msgspec", "diskcache", "nicegui")},
        commit=commit(),
    )


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def filesystem(folder: Path) -> str:
    """Kind of the file system that holds ``folder``; on ``tmpfs`` a sync costs nothing and proves nothing."""
    place = str(folder.resolve())
    mounts = [part for part in psutil.disk_partitions(all=True) if inside(place, part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown file system"


def inside(place: str, mountpoint: str) -> bool:
    return place == mountpoint or place.startswith(mountpoint.rstrip("/") + "/")


def commit() -> str:
    """The short name of the commit that is checked out; "" outside of a clone."""
    head = ROOT / ".git" / "HEAD"
    try:
        text = head.read_text("utf-8").strip()
        name = text if not text.startswith("ref: ") else (ROOT / ".git" / text[5:]).read_text("utf-8").strip()
    except OSError:
        return ""
    return name[:9]


def load() -> float:
    """How many processes wanted to run, on the mean of the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0

"""Plain Huey on SQLite: eight threads, its own settings (no sync per commit, so less is promised than we promise)."""

from __future__ import annotations

import counted
from huey import SqliteHuey

huey = SqliteHuey("bench", filename=str(counted.FOLDER / "huey.db"))
noop = huey.task()(counted.noop)
consumer = huey.create_consumer(workers=8, periodic=False)

counted.answer(lambda n: noop(n, counted.TEXT), consumer.start)
consumer.stop()

"""Plain Huey on Redis: eight threads, as its documentation starts them."""

from __future__ import annotations

import counted
from huey import RedisHuey

huey = RedisHuey("bench", port=counted.PORT)
noop = huey.task()(counted.noop)
consumer = huey.create_consumer(workers=8, periodic=False)

counted.answer(lambda n: noop(n, counted.TEXT), consumer.start)
consumer.stop()

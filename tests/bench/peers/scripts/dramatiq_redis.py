"""dramatiq on Redis: one worker with eight threads."""

from __future__ import annotations

import counted
import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(port=counted.PORT)
dramatiq.set_broker(broker)
noop = dramatiq.actor(counted.noop)
worker = dramatiq.Worker(broker, worker_threads=8)

counted.answer(lambda n: noop.send(n, counted.TEXT), worker.start)
worker.stop()

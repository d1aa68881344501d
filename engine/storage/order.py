"""The order in which a queue's available jobs are claimed.

Priority band first; inside a band start-time fair queueing (Goyal, Vin, Cheng 1996) across tenants by weight, so that
one tenant's burst does not keep the others waiting; every ``AGEING``-th job is the one that waits longest at the head of
any band, so that nothing starves.  Jobs that need capabilities stand in lanes of their own, so that who lacks them never
looks through them; once someone asks for some tenants' jobs alone, lanes are split by tenant too.  Entries may be stale:
who pops asks whether the job is still available.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from engine.kernel.job import Job, JobState

#: every so many claims, the longest waiting head of all bands goes first
AGEING = 16
#: tenants remembered per band before idle ones are forgotten
TENANTS_KEPT = 1024
#: jobs that left without being popped after which their entries are dropped
LEFTOVERS = 10_000
#: what most agents have
NO_CAPABILITIES: frozenset[str] = frozenset()

Entry = tuple[float, int, Job]


class Lane:
    """Jobs of one band that the same agents may take."""

    __slots__ = ("heap", "needs", "tenant")

    def __init__(self, needs: str, tenant: str | None) -> None:
        self.heap: list[Entry] = []
        self.needs = frozenset(needs.split(",")) if needs else NO_CAPABILITIES
        #: ``None`` if it holds jobs of all tenants
        self.tenant = tenant

    def head(self) -> Entry | None:
        """The first entry that is not stale; stale ones before it are dropped."""
        heap = self.heap
        while heap and heap[0][2].state != JobState.AVAILABLE:
            heapq.heappop(heap)
        return heap[0] if heap else None


class Band:
    """Jobs of one priority, by virtual start time."""

    __slots__ = ("by_tenant", "kept", "lanes", "plain", "served", "tags")

    def __init__(self, by_tenant: bool = False) -> None:
        #: jobs that anybody may take
        self.plain = Lane("", None)
        #: all other lanes, by needs and tenant
        self.lanes: dict[tuple[str, str | None], Lane] = {}
        self.by_tenant = by_tenant
        #: virtual time of the last job served
        self.served = 0.0
        #: tenant -> virtual time at which its next job starts
        self.tags: dict[str, float] = {}
        #: tenants at which idle ones are forgotten next
        self.kept = TENANTS_KEPT

    def push(self, job: Job, number: int, weight: float) -> None:
        tag = self.tags.get(job.tenant, 0.0)
        tag = max(tag, self.served)
        self.tags[job.tenant] = tag + 1.0 / weight
        heapq.heappush(self.lane_of(job).heap, (tag, number, job))
        if len(self.tags) > self.kept:
            self.tags = {tenant: t for tenant, t in self.tags.items() if t > self.served}
            self.kept = max(TENANTS_KEPT, 2 * len(self.tags))

    def lane_of(self, job: Job) -> Lane:
        """Where a job stands, made if it is the first there."""
        if not job.needs and not self.by_tenant:
            return self.plain
        key = (job.needs, job.tenant if self.by_tenant else None)
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(*key)
        return lane

    def pop(self, capabilities: frozenset[str], tenants: frozenset[str] | None) -> Job | None:
        """The first job that is still available and fits."""
        lane = self.plain if not self.lanes else self._first(capabilities, tenants)
        if lane is None or lane.head() is None:
            return None
        tag, _, job = heapq.heappop(lane.heap)
        self.served = max(self.served, tag)
        return job

    def head(self, capabilities: frozenset[str], tenants: frozenset[str] | None) -> Job | None:
        """The first job that is still available and fits, left where it is."""
        lane = self._first(capabilities, tenants)
        return lane.heap[0][2] if lane is not None else None

    def _first(self, capabilities: frozenset[str], tenants: frozenset[str] | None) -> Lane | None:
        """The fitting lane whose first job comes before those of the others."""
        first = self.plain if self.plain.head() is not None else None
        for key, lane in list(self.lanes.items()):
            if lane.needs <= capabilities and (tenants is None or lane.tenant in tenants):
                head = lane.head()
                if head is None:
                    del self.lanes[key]
                elif first is None or head < first.heap[0]:
                    first = lane
        return first

    def __len__(self) -> int:
        return len(self.plain.heap) + sum(len(lane.heap) for lane in self.lanes.values())

    def entries(self) -> list[Entry]:
        """All entries, in no order."""
        return [entry for lane in (self.plain, *self.lanes.values()) for entry in lane.heap]

    def sort_anew(self, entries: list[Entry]) -> None:
        """Hold these entries and no others."""
        self.plain, self.lanes = Lane("", None), {}
        for entry in entries:
            self.lane_of(entry[2]).heap.append(entry)
        for lane in (self.plain, *self.lanes.values()):
            heapq.heapify(lane.heap)


class ReadyOrder:
    """All available jobs of one queue."""

    __slots__ = ("_bands", "_by_tenant", "_left", "_number", "_sorted", "_turn", "weights")

    def __init__(self) -> None:
        self._bands: dict[int, Band] = {}
        self._sorted: list[Band] = []
        self._by_tenant = False
        self._number = 0
        self._turn = 0
        #: jobs that left without being popped since stale entries were dropped
        self._left = 0
        self.weights: Mapping[str, float] = {}

    def push(self, job: Job) -> None:
        """Add a job behind its tenant's others."""
        self._number += 1
        self._band(job.priority).push(job, self._number, self.weights.get(job.tenant, 1.0))

    def push_front(self, job: Job) -> None:
        """Add a job that had its turn already and was handed back."""
        self._number += 1
        band = self._band(job.priority)
        heapq.heappush(band.lane_of(job).heap, (band.served - 1.0, self._number, job))

    def pop(self, capabilities: frozenset[str] = NO_CAPABILITIES, tenants: frozenset[str] | None = None) -> Job | None:
        """Take the next job for who has these capabilities and works for these tenants; ``None`` if there is none."""
        if tenants is not None and not self._by_tenant:
            self._split_by_tenant()
        self._turn += 1
        if self._turn % AGEING == 0 and len(self._sorted) > 1:
            job = self._oldest(capabilities, tenants).pop(capabilities, tenants)
            if job is not None:
                return job
        for band in self._sorted:
            job = band.pop(capabilities, tenants)
            if job is not None:
                return job
        return None

    def _split_by_tenant(self) -> None:
        self._by_tenant = True
        for band in self._sorted:
            band.by_tenant = True
            band.sort_anew(band.entries())

    def peek(self, limit: int) -> list[Job]:
        """The next jobs in order, left where they are (ageing aside)."""
        found: list[Job] = []
        for band in self._sorted:
            seen: set[str] = set()
            fresh = [entry for entry in band.entries() if entry[2].state == JobState.AVAILABLE]
            for _, _, job in heapq.nsmallest(limit * 2, fresh):
                if job.id not in seen and len(found) < limit:
                    seen.add(job.id)
                    found.append(job)
        return found

    def left(self) -> None:
        """A job went away that was not popped; its entry goes when there are many such."""
        self._left += 1
        if self._left > LEFTOVERS and 2 * self._left > len(self):
            self._left = 0
            self.compact()

    def compact(self) -> None:
        """Drop stale entries."""
        for band in self._sorted:
            band.sort_anew([entry for entry in band.entries() if entry[2].state == JobState.AVAILABLE])

    def __len__(self) -> int:
        """Entries, stale ones included."""
        return sum(len(band) for band in self._sorted)

    def __iter__(self) -> Iterator[Job]:
        for band in self._sorted:
            for _, _, job in band.entries():
                if job.state == JobState.AVAILABLE:
                    yield job

    def _band(self, number: int) -> Band:
        band = self._bands.get(number)
        if band is None:
            band = self._bands[number] = Band(self._by_tenant)
            self._sorted = [self._bands[key] for key in sorted(self._bands)]
        return band

    def _oldest(self, capabilities: frozenset[str], tenants: frozenset[str] | None) -> Band:
        def waiting_since(band: Band) -> float:
            head = band.head(capabilities, tenants)
            return head.created_at if head is not None else float("inf")

        return min(self._sorted, key=waiting_since)

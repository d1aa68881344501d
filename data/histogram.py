"""Log-scale histograms of durations: small, additive, and good enough for percentiles (a bucket is 19 % wide).

Bucket ``i`` holds the seconds from 2^(i/4) µs to 2^((i+1)/4) µs; what is shorter than 1 µs falls in bucket 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

#: bucket -> how many
Histogram = dict[int, int]

_MICRO = 1e-6
_PER_OCTAVE = 4
_decoder = msgspec.json.Decoder(dict[int, int])


def bucket_of(seconds: float) -> int:
    """The bucket that a duration falls in."""
    return int(math.log2(seconds / _MICRO) * _PER_OCTAVE) if seconds > _MICRO else 0


def value_at(position: float) -> float:
    """Seconds at a place on the bucket scale."""
    return float(_MICRO * 2 ** (position / _PER_OCTAVE))


def merged(histograms: Iterable[Mapping[int, int]]) -> Histogram:
    """The sum of histograms."""
    total: Histogram = {}
    for histogram in histograms:
        for bucket, n in histogram.items():
            total[bucket] = total.get(bucket, 0) + n
    return total


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """The duration that ``share`` (0–1) of all stay below, interpolated inside its bucket; ``None`` if it is empty."""
    total = sum(histogram.values())
    if not total:
        return None
    rank, before = share * total, 0
    for bucket in sorted(histogram):
        n = histogram[bucket]
        if before + n >= rank:
            return value_at(bucket + (rank - before) / n)
        before += n
    return value_at(max(histogram) + 1)


def loads(text: str | bytes) -> Histogram:
    """A histogram from its JSON."""
    return _decoder.decode(text)


def dumps(histogram: Mapping[int, int]) -> str:
    """Its JSON, without empty buckets."""
    return msgspec.json.encode({bucket: n for bucket, n in sorted(histogram.items()) if n}).decode()

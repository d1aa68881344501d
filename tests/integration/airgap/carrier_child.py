"""A process that makes a bundle or takes one in, and is killed at a fault point on its way.

``python -m tests.integration.airgap.carrier_child HOME NAME pack PEER FAULT`` or ``… HOME NAME unpack FILE FAULT``
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine.kernel import faults
from tests.support.sites import Site


def main(home: str, name: str, verb: str, what: str, fault: str) -> None:
    site = Site(Path(home), name)
    faults.arm_from(fault)
    if verb == "pack":
        site.pack_for(what)
    else:
        site.unpack(Path(what))
    site.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

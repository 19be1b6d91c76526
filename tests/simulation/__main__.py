"""Many worlds: ``python -m tests.simulation WORLDS [FIRST SEED] [FLOW]``; of all flows by turns."""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.simulation.run import FLOWS, run_world, told


def main() -> int:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9
    flows = sys.argv[3:4] or list(FLOWS)
    began, refused, happened = time.perf_counter(), 0, Counter[str]()
    failed = []
    for number in range(worlds):
        seed, flow = first + number, flows[number % len(flows)]
        world = run_world(seed, flow)
        happened.update(fault.kind for fault in world.faults.struck)
        refused += bool(world.refused)
        if world.wrong:
            failed.append(world)
            print(f"seed {seed} ({flow}): {world.wrong[0]}", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{worlds} worlds of {', '.join(flows)} from seed {first}: {len(failed)} violate,"
        f" {refused} refused as they should, {sum(happened.values())} faults {dict(happened)},"
        f" {seconds:.1f} s"
    )
    if failed:
        print(told(failed[0]))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

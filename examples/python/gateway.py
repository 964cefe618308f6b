#!/usr/bin/env python3
"""A server that holds many connections: examples/gateway.rs, without any library of presence.

The gateway itself is the class below: signals are put together by partition, each with its age; one batch of a partition is under way
at a time, so that they stay in their order; where there is nothing to say, an empty batch each second says that the gateway lives.
Signals should carry (epoch, seq), as these do: then a batch that is sent again changes nothing.

    make examples            or, beside `make up`:  PYTHONPATH=.tools/python examples/python/gateway.py
"""

import asyncio
import json
import time

import nats.errors
from stage import expect, run

PEOPLE = 30


def fnv_1a(text):
    number = 0x811C9DC5
    for byte in text.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return number


class Gateway:
    """Publishes signals of one tenant in batches. Names have to be such that nothing in them is escaped."""

    def __init__(self, client, tenant, name):
        self.client, self.tenant, self.name = client, tenant, name
        self.held, self.tasks, self.stored, self.closing = {}, {}, 0, False

    async def start(self):
        info = await self.client.request("presence.v1.info", b"", timeout=5)
        self.partitions = json.loads(info.data)["partitions"]
        return self

    def hold(self, user, session, **fields):
        partition = fnv_1a(self.tenant + user) % self.partitions
        self.held.setdefault(partition, []).append((time.monotonic(), {"u": user, "s": session, **fields}))
        if partition not in self.tasks:
            self.tasks[partition] = asyncio.create_task(self.carry(partition))

    async def carry(self, partition):
        subject, said = f"presence.v1.log.{partition}.batch.{self.tenant}.{self.name}", 0
        while self.held[partition] or not self.closing:
            await asyncio.sleep(0.05)
            batch, now = self.held[partition][:1000], time.monotonic()
            if not batch and now - said < 1:
                continue
            signals = [{**signal, "age_ms": int((now - since) * 1000)} for since, signal in batch]
            try:
                answer = await self.client.request(subject, json.dumps({"v": 1, "signals": signals}).encode(), timeout=2)
            except nats.errors.Error:
                continue  # again, older
            if "error" not in json.loads(answer.data):
                del self.held[partition][: len(batch)]
                self.stored, said = self.stored + len(batch), now

    async def close(self):
        self.closing = True
        await asyncio.gather(*self.tasks.values())


async def here(stage, expected):
    """How many are here, once they are so many, or after a while."""
    for _ in range(200):
        users = (await stage.ask("users", {}))["users"]
        if len(users) == expected:
            break
        await asyncio.sleep(0.1)
    return len(users)


async def gateway(stage):
    edge = await Gateway(stage.client, stage.tenant, f"edge-{time.time_ns()}").start()
    for seq in range(1, 4):
        for person in range(PEOPLE):
            edge.hold(f"person-{person}", "socket", epoch=1, seq=seq, every_ms=20_000)
    count = await here(stage, PEOPLE)
    print(f"{count} are here, through one gateway")
    expect(count == PEOPLE, f"all {PEOPLE} should be here, not {count}")

    print("person-0 closes the tab")
    edge.hold("person-0", "socket", kind="leave", epoch=1, seq=4)
    count = await here(stage, PEOPLE - 1)
    expect(count == PEOPLE - 1, f"one should have left, {count} are here")
    print(f"{count} are here")

    await edge.close()
    print(f"the log has {edge.stored} signals")
    expect(edge.stored == 3 * PEOPLE + 1, "each should be stored once")


if __name__ == "__main__":
    run(gateway)

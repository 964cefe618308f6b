"""What the stories share: a tenant of their own, sessions that beat, questions, and how an expectation fails.

Everything a client needs is a subject and JSON, so this is all there is to it; SERVICES.md says what can be asked.
"""

import asyncio
import json
import os
import sys
import time

try:
    import nats
    import nats.errors
except ImportError as error:
    sys.exit(f"{error}; run scripts/tools, and this again with PYTHONPATH=.tools/python")


class Failed(Exception):
    """An expectation that was not met."""


def expect(is_so, otherwise):
    if not is_so:
        raise Failed(otherwise)


def run(story):
    """Plays a story: `await story(stage)`. Ends with 0, or with the reason and 1."""

    async def play():
        url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
        client = await nats.connect(url, max_reconnect_attempts=1)
        try:
            await story(Stage(client, f"{story.__name__}-py-{time.time_ns() // 1_000_000}"))
        finally:
            await client.close()

    try:
        asyncio.run(play())
    except (Failed, nats.errors.Error, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


class Stage:
    """A connection, and a tenant that no other story has."""

    def __init__(self, client, tenant):
        self.client, self.tenant = client, tenant

    async def ask(self, verb, question, within=20):
        """An engine's answer; asked again while none can answer now."""
        subject = f"presence.v1.ask.{self.tenant}.{verb}"
        # A wait is answered when it comes true, or after its own time; silence past that and 5 s means a dead engine.
        patience = question.get("timeout_ms", 0) / 1000 + 5
        deadline = time.monotonic() + within + patience
        while True:
            try:
                answer = await self.client.request(subject, json.dumps(question).encode(), timeout=patience)
                headers = answer.headers or {}
                code, trouble = headers.get("Nats-Service-Error-Code"), headers.get("Nats-Service-Error")
                if code is None:
                    return json.loads(answer.data)
                # 404 as long as the engine has heard nobody: the first beats may still be on their way.
                if code not in ("503", "404"):
                    raise Failed(f"{verb}: {code} {trouble}")
            except (nats.errors.NoRespondersError, nats.errors.TimeoutError) as error:
                trouble = repr(error)
            expect(time.monotonic() < deadline, f"{verb} is not answered: {trouble}")
            await asyncio.sleep(0.1)

    async def wait(self, within=20, **question):
        """Waits until so many are ready, asking again by the same id."""
        question.setdefault("id", f"wait-{time.time_ns()}")
        deadline = time.monotonic() + within
        while True:
            left = max(0, deadline - time.monotonic())
            answer = await self.ask("wait", {**question, "timeout_ms": int(min(left, 5) * 1000)})
            if answer["status"] == "ready" or time.monotonic() >= deadline:
                return answer


class Session:
    """A session that beats each second until it leaves. (epoch, seq) let duplicates and late beats change nothing."""

    def __init__(self, stage, user, name="tab", **facts):
        self.stage, self.facts = stage, {"every_ms": 1000, **facts}
        self.subject = f"presence.v1.signal.{stage.tenant}.{user}.{name}"
        self.epoch, self.seq = int(time.time() * 1000), 0
        self.task = None

    async def start(self):
        await self.say()
        self.task = asyncio.create_task(self.beat())
        return self

    async def beat(self):
        while True:
            await asyncio.sleep(1)
            try:
                await self.say()
            except nats.errors.Error as error:
                print(f"a beat was not acknowledged: {error!r}", file=sys.stderr)

    async def say(self, **facts):
        """Says something new, and everything else again; returns once the log has it."""
        self.facts.update(facts)
        await self.publish(self.facts)

    async def publish(self, signal):
        self.seq += 1
        payload = {"epoch": self.epoch, "seq": self.seq, **signal}
        stored = await self.stage.client.request(self.subject, json.dumps(payload).encode(), timeout=5)
        expect("error" not in json.loads(stored.data), f"the log did not take it: {stored.data}")

    async def leave(self):
        self.task.cancel()
        await self.publish({"kind": "leave"})

#!/usr/bin/env python3
"""A foreign client: it knows the contract and Python's NATS client, and nothing of the engine's sources.

It starts a NATS server and the engine on a loopback port of their own, beats as sessions of a tenant in the three forms a
heartbeat may have, and reads what comes of it the four ways there are: subjects, buckets, the stream, `presence.v1.info`.

    scripts/tools && cargo build && PYTHONPATH=.tools/python tests/python/foreign_client.py

PRESENCE_BIN names the engine; without it, it is the newer one of target/debug/presence and target/release/presence.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER = ROOT / ".tools" / "bin" / "nats-server"

try:
    import nats
    import nats.errors
    import umsgpack
    from nats.js.api import ConsumerConfig, DeliverPolicy
    from nats.js.errors import KeyNotFoundError
except ImportError as error:
    sys.exit(f"{error}; run scripts/tools, and this again with PYTHONPATH=.tools/python")

# Profile `demo`: the silence, in milliseconds, at which a session enters a state or another band, and why it does.
LADDER = [
    ("offline", "active", "joined", 0),
    ("active", "idle", "quiet", 3_000),
    ("idle", "away", "quiet", 6_000),
    # Two seconds of grace, and below a half after four more.
    ("away", "away", "fading", 6_001),
    ("away", "stale", "silent", 9_000),
    ("stale", "offline", "silent", 12_000),
]
# How long a condition is waited for. It bounds a failing test only: nothing that holds depends on it.
PATIENCE = 90


class World:
    """The server and the engine under test, and the folder they work in."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="presence-python-")
        self.processes = []
        self.engine = None
        self.url = None

    def start(self):
        data = Path(self.folder.name, "nats")
        server = self.spawn(
            "nats-server", SERVER, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", self.folder.name,
            "--jetstream", "--store_dir", data,
        )
        ports = Path(self.folder.name, f"nats-server_{server.pid}.ports")
        self.url = until(lambda: json.loads(ports.read_text())["nats"][0] if ports.exists() else None, server)
        self.engine = self.spawn("engine", engine_binary(), "run", "--server", self.url, "--profile", "demo")
        asyncio.run(self.engine_is_live())

    async def engine_is_live(self):
        """Waits for `presence.v1.info` to answer without an error: every partition is live then."""
        client = await nats.connect(self.url)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await client.request("presence.v1.info", b"", timeout=1)
                trouble = (answer.headers or {}).get("Nats-Service-Error-Code")
                if trouble is None:
                    break
            except (nats.errors.NoRespondersError, nats.errors.TimeoutError) as error:
                trouble = repr(error)
            if time.monotonic() > deadline:
                raise AssertionError(f"presence.v1.info still answers {trouble}\n{self.logs()}")
            await asyncio.to_thread(died, self.engine, pause=0.05)
        await client.close()

    def spawn(self, name, *command):
        with self.log(name).open("wb") as log:
            process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def log(self, name):
        return Path(self.folder.name, f"{name}.log")

    def logs(self):
        texts = [f"--- {path.name}\n{path.read_text()}" for path in sorted(Path(self.folder.name).glob("*.log"))]
        return "\n".join(texts)

    def stop(self):
        """Ends the engine, then the server, as a person would, and tells how each of them ended."""
        statuses = []
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                statuses.append(process.wait(PATIENCE))
            except subprocess.TimeoutExpired:
                process.kill()
                statuses.append(f"killed after {PATIENCE} s, having ended at {process.wait()}")
        return statuses


def engine_binary():
    named = os.environ.get("PRESENCE_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "debug/presence", target / "release/presence") if path.exists()]
    if not named and not built:
        raise AssertionError("there is no engine: run cargo build, or name one with PRESENCE_BIN")
    return named or max(built, key=lambda path: path.stat().st_mtime)


def until(condition, process):
    """What `condition` yields once it yields something, as long as `process` lives."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value is not None:
            return value
        died(process, pause=0.02)
    raise AssertionError(f"waited {PATIENCE} s in vain\n{world.logs()}")


def died(process, pause):
    """Fails if `process` ends within `pause` seconds."""
    try:
        status = process.wait(pause)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"{process.args[0]} ended with {status}\n{world.logs()}")


def partition(tenant, user, partitions):
    """The partition of a user, by the contract: FNV-1a of 32 bits over tenant and user."""
    value = 0x811C9DC5
    for byte in (tenant + user).encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value % partitions


world = World()


def setUpModule():
    if not SERVER.exists():
        raise AssertionError(f"{SERVER} is not there: run scripts/tools")
    try:
        world.start()
    except BaseException:
        world.stop()
        raise


def tearDownModule():
    engine, _ = world.stop()
    assert engine == 0, f"the engine ended with {engine} after SIGTERM\n{world.logs()}"
    world.folder.cleanup()


class ForeignClient(unittest.IsolatedAsyncioTestCase):
    """Each test has a tenant of its own, named like it, so none sees what another does."""

    maxDiff = None

    async def asyncSetUp(self):
        self.tenant = self._testMethodName
        self.nats = await nats.connect(world.url)
        self.addAsyncCleanup(self.nats.close)
        self.js = self.nats.jetstream()
        self.sessions = await self.follow(f"presence.v1.session.{self.tenant}.>")

    async def follow(self, subject):
        subscription = await self.nats.subscribe(subject)
        await self.nats.flush()
        return subscription

    async def signal(self, user, session, payload=b"", **headers):
        """Publishes a signal, and returns once the log has it."""
        subject = f"presence.v1.signal.{self.tenant}.{user}.{session}"
        await self.js.publish(subject, payload, headers=headers or None)

    async def next_event(self, subscription):
        try:
            return await subscription.next_msg(timeout=PATIENCE)
        except nats.errors.TimeoutError:
            self.fail(f"no event within {PATIENCE} s\n{world.logs()}")

    async def events(self, subscription, count):
        return [json.loads((await self.next_event(subscription)).data) for _ in range(count)]

    async def history(self, subject, count):
        """The first `count` events of a subject that PRESENCE_EVENTS holds."""
        consumer = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
        subscription = await self.js.subscribe(
            subject, stream="PRESENCE_EVENTS", ordered_consumer=True, config=consumer
        )
        found = await self.events(subscription, count)
        await subscription.unsubscribe()
        return found

    async def watched(self, bucket, key, wanted):
        """The value of a key once it says `wanted`, or None once it is deleted where None is wanted."""
        watcher = await (await self.js.key_value(bucket)).watch(key)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            entry = await watcher.updates(timeout=PATIENCE)
            if entry is None:  # all that was there before has been told
                continue
            value = json.loads(entry.value) if entry.operation is None else None
            if (value and value["to"]) == wanted:
                await watcher.stop()
                return value
        self.fail(f"{bucket} never said {wanted} of {key}\n{world.logs()}")

    async def test_info_names_the_contract_and_the_partitions(self):
        info = json.loads((await self.nats.request("presence.v1.info", b"", timeout=PATIENCE)).data)
        self.assertRegex(info["contract"], r"^1\.\d+$")
        self.assertRegex(info["version"], r"^\d+\.\d+\.\d+")
        self.assertGreater(info["partitions"], 0)

    async def test_every_form_of_heartbeat_goes_down_the_whole_ladder(self):
        users = await self.follow(f"presence.v1.user.{self.tenant}.>")
        facts = {"kind": "heartbeat", "rooms": ["lobby"], "can": ["audio"], "meta": {"client": "nats-py"}}
        forms = {
            "json": (json.dumps(facts).encode(), {"Content-Type": "application/json"}),
            "msgpack": (umsgpack.packb(facts), {}),
            "empty": (b"", {}),
        }
        for user, (payload, headers) in forms.items():
            await self.signal(user, "laptop", payload, **headers)

        told = await self.events(self.sessions, len(LADDER) * len(forms))
        of_users = await self.events(users, len(LADDER) * len(forms))
        for user in forms:
            with self.subTest(form=user):
                events = [event for event in told if event["user"] == user]
                self.check_ladder(events)
                self.check_facts(events[0], {} if user == "empty" else facts)
                subject = f"presence.v1.session.{self.tenant}.{user}.laptop"
                self.assertEqual(events, await self.history(subject, len(LADDER)), "the stream holds what was told")
                self.check_user([event for event in of_users if event["user"] == user], events)
        for user in forms:
            await self.watched("presence_sessions", f"{self.tenant}.{user}.laptop", None)
            await self.watched("presence_users", f"{self.tenant}.{user}", None)

    def check_ladder(self, events):
        self.assertEqual(
            LADDER, [(e["from"], e["to"], e["cause"], e["at_ms"] - e["last_seen_ms"]) for e in events],
            "each state is entered at the very millisecond of its deadline",
        )
        self.assertEqual([1, 2, 3, 4, 5, 6], [event["ordinal"] for event in events])
        self.assertEqual(1, len({event["incarnation"] for event in events}))
        self.assertEqual(len(events), len({event["id"] for event in events}))
        for event in events:
            self.assertEqual((1, "session", "laptop"), (event["v"], event["kind"], event["session"]))
            self.assertEqual(self.tenant, event["tenant"])

    def check_facts(self, event, facts):
        self.assertEqual(facts.get("rooms", []), event["rooms"])
        self.assertEqual(facts.get("can", []), event["can"])
        self.assertEqual(facts.get("meta", {}), event["meta"])
        self.assertEqual("demo", event["profile"])

    def check_user(self, users, sessions):
        """With one session, a user is what that session is, at the same time."""
        steps = [[(event["from"], event["to"], event["at_ms"]) for event in events] for events in (sessions, users)]
        self.assertEqual(*steps)
        self.assertEqual([1, 2, 3, 4, 5, 6], [event["ordinal"] for event in users])
        self.assertEqual({"active": 1, "idle": 0, "away": 0, "stale": 0}, users[0]["sessions"])
        self.assertEqual({"active": 0, "idle": 0, "away": 0, "stale": 0}, users[-1]["sessions"])

    async def test_buckets_hold_who_is_here_and_nobody_else(self):
        # Profile `default` leaves a minute until anything changes by itself, however slow the machine is.
        await self.signal("grace", "tablet", json.dumps({"profile": "default", "epoch": 7, "seq": 1}).encode())
        session = await self.watched("presence_sessions", f"{self.tenant}.grace.tablet", "active")
        self.assertEqual(("session", "grace", "tablet"), (session["kind"], session["user"], session["session"]))
        self.assertEqual([session], await self.events(self.sessions, 1), "a bucket holds the very event that was told")
        user = await self.watched("presence_users", f"{self.tenant}.grace", "active")
        self.assertEqual(("user", "grace", 1), (user["kind"], user["user"], user["sessions"]["active"]))

        await self.signal("grace", "tablet", json.dumps({"kind": "leave", "epoch": 7, "seq": 2}).encode())
        await self.watched("presence_sessions", f"{self.tenant}.grace.tablet", None)
        await self.watched("presence_users", f"{self.tenant}.grace", None)
        users = await self.js.key_value("presence_users")
        with self.assertRaises(KeyNotFoundError):
            await users.get(f"{self.tenant}.grace")

    async def test_events_carry_cloudevents_headers_and_the_partition_of_the_user(self):
        info = json.loads((await self.nats.request("presence.v1.info", b"", timeout=PATIENCE)).data)
        await self.signal("carol=40x", "phone")
        message = await self.next_event(self.sessions)
        event = json.loads(message.data)
        self.assertEqual(f"presence.v1.session.{self.tenant}.carol=40x.phone", message.subject)
        self.assertEqual("carol@x", event["user"], "subjects carry tokens, payloads carry plain text")
        self.assertEqual(partition(self.tenant, "carol=40x", info["partitions"]), event["partition"])
        self.assertEqual("1.0", message.headers["ce-specversion"])
        self.assertEqual("presence.session.v1", message.headers["ce-type"])
        self.assertEqual(event["id"], message.headers["ce-id"])

    async def test_leaving_is_told_at_once(self):
        await self.signal("dave", "tab", json.dumps({"epoch": 7, "seq": 1}).encode())
        await self.signal("dave", "tab", json.dumps({"kind": "leave", "epoch": 7, "seq": 2}).encode())
        joined, left = await self.events(self.sessions, 2)
        self.assertEqual(("offline", "active", "joined"), (joined["from"], joined["to"], joined["cause"]))
        self.assertEqual(("active", "offline", "left"), (left["from"], left["to"], left["cause"]))
        self.assertEqual((joined["incarnation"], 2), (left["incarnation"], left["ordinal"]))

    async def test_what_cannot_be_decoded_is_rejected_with_a_reason_and_harms_nobody(self):
        rejected = await self.follow("presence.v1.rejected.>")
        for payload in (b'{"kind": ', b"\xc1", umsgpack.packb({}) + b"\x00"):
            await self.signal("eve", "tab", payload)
            event = await self.rejection(rejected)
            self.assertTrue(event["reason"])
        await self.signal("eve", "tab")
        [joined] = await self.events(self.sessions, 1)
        self.assertEqual(("eve", "joined", 1), (joined["user"], joined["cause"], joined["ordinal"]))

    async def rejection(self, subscription):
        """The next rejected event of this test's own session."""
        while True:
            event = json.loads((await self.next_event(subscription)).data)
            if event["subject"].endswith(f".signal.{self.tenant}.eve.tab"):
                return event

    async def test_nobody_can_write_a_bucket(self):
        users = await self.js.key_value("presence_users")
        with self.assertRaises(nats.errors.Error):
            await users.put(f"{self.tenant}.mallory", b'{"to":"active"}')


def main():
    outcome = unittest.main(exit=False, verbosity=2).result
    failed = len(outcome.failures) + len(outcome.errors)
    print(f"python: {max(outcome.testsRun - failed, 0)} passed, {failed} failed", flush=True)
    sys.exit(0 if outcome.wasSuccessful() and outcome.testsRun else 1)


if __name__ == "__main__":
    main()

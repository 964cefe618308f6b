#!/usr/bin/env python3
"""A document that shows who really looks at it: examples/who_is_here.rs, without any library of presence.

    make examples            or, beside `make up`:  PYTHONPATH=.tools/python examples/python/who_is_here.py
"""

import asyncio
import json

from stage import Session, expect, run


async def who_is_here(stage):
    # What is told at once; whoever has to miss nothing over its own restarts reads the stream PRESENCE_EVENTS.
    changes = await stage.client.subscribe(f"presence.v1.user.{stage.tenant}.>")
    await stage.client.flush()
    facts = {"profile": "demo", "rooms": ["document-1"]}
    ada = await Session(stage, "ada", **facts).start()
    bob = await Session(stage, "bob", **facts).start()
    # She promises nothing: a promise would make her silence mean less.
    carol = await Session(stage, "carol", **{**facts, "every_ms": 0}).start()
    for _ in range(200):
        room = await stage.ask("room", {"room": "document-1", "members": True})
        if sum(room["users"].values()) == 3:
            break
        await asyncio.sleep(0.1)
    for member in room["members"]:
        print(f"{member['user']} has the document open: {member['state']}")
    expect(sum(room["users"].values()) == 3, f"three should be here: {room['users']}")

    here = {}

    async def until(user, state):
        while here.get(user) != state:
            event = json.loads((await changes.next_msg(timeout=30)).data)
            if event["from"] != event["to"]:
                print(f"{event['user']} is {event['to']} now: {event['cause']}")
            here[event["user"]] = event["to"]

    await bob.leave()
    await until("bob", "offline")
    carol.task.cancel()
    print("carol closes the lid, and nobody is told so")
    for state in ("idle", "away", "stale", "offline"):
        await until("carol", state)
    left = [user for user, state in here.items() if state != "offline"]
    print(f"who is really here: {', '.join(left)}")
    expect(left == ["ada"], f"ada alone should be here: {left}")
    room = await stage.ask("room", {"room": "document-1"})
    print(f"the room has {sum(room['users'].values())}, each as sure as {room['expected_permille']} in 1000")
    expect(sum(room["users"].values()) == 1, f"one should be here: {room['users']}")

    print("ada goes invisible")
    await ada.say(intent="invisible")
    await until("ada", "offline")
    own = await stage.ask("session", {"user": "ada", "session": "tab"})
    expect(own["now"]["state"] != "offline", "to herself she should be here")
    print(f"to the others she has left; to herself she is {own['now']['state']}")
    await ada.leave()


if __name__ == "__main__":
    run(who_is_here)

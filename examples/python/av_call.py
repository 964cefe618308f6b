#!/usr/bin/env python3
"""A call that rings when both can hear it, and not before: examples/av_call.rs, without any library of presence.

    make examples            or, beside `make up`:  PYTHONPATH=.tools/python examples/python/av_call.py
"""

import asyncio

from stage import Session, expect, run


async def av_call(stage):
    # Out of sight is away at once in profile `seed`.
    facts = {"profile": "seed", "can": ["audio", "video"]}
    ada = await Session(stage, "ada", **facts).start()
    bob = await Session(stage, "bob", visibility="hidden", **facts).start()
    print("ada and bob are online; bob looks at something else")

    call = {"id": "call-1", "users": ["ada", "bob"], "for": "audio", "hold_ms": 200}
    for _ in range(40):  # the engine may not have heard both yet
        first = await stage.wait(within=0.5, **call)
        expect(first["status"] == "pending", "the call was connected although nobody at bob's could see it")
        if first["missing"] == [{"user": "bob", "why": "state"}]:
            break
    for missing in first["missing"]:
        print(f"ada calls: {missing['user']} is not ready for audio ({missing['why']})")
    expect(first["missing"] == [{"user": "bob", "why": "state"}], f"bob alone should be missing: {first['missing']}")

    print("ada holds the line")

    async def look():
        await asyncio.sleep(1)
        print("bob looks at the tab")
        await bob.say(visibility="visible", state="active")

    ringing, _ = await asyncio.gather(stage.wait(within=30, **call), look())
    expect(ringing["status"] == "ready", f"the call was not connected: {ringing['missing']}")
    for user in ringing["ready"]:
        print(f"{user['user']} is ready, {user['confidence_permille']} in 1000 sure")
    print("connected")
    await ada.leave()
    await bob.leave()


if __name__ == "__main__":
    run(av_call)

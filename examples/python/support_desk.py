#!/usr/bin/env python3
"""A support desk that rings one agent for one customer: examples/support_desk.rs, without any library of presence.

    make examples            or, beside `make up`:  PYTHONPATH=.tools/python examples/python/support_desk.py
"""

import asyncio

from stage import Session, expect, run

AGENTS = {
    "carol": ["support", "call-1", "call-2"],
    "dave": ["support", "call-1"],
    "erin": ["support"],
}


async def support_desk(stage):
    agents = {name: Session(stage, name, "desk", can=["audio"], rooms=rooms) for name, rooms in AGENTS.items()}
    for agent in agents.values():
        await agent.start()
    await agents["erin"].say(intent="busy", intent_for_ms=600_000)
    open_ = await stage.wait(room="support", need=2, **{"for": "audio"})
    expect(open_["status"] == "ready", f"two agents should be ready, {open_['short']} more are needed")
    why = None
    for _ in range(100):  # her intent may be known a moment later than her first beat
        waited = await stage.wait(within=0.2, users=["erin"], **{"for": "audio"})
        why = waited["missing"][0]["why"] if waited["missing"] else None
        if why == "intent":
            break
    print(f"erin is at her desk and can't be had: {why}")
    expect(why == "intent", "erin said that she is busy, and should not be ready")
    room = await stage.ask("room", {"room": "support"})
    print(f"{sum(room['users'].values())} agents are in the room, {room['ready'].get('audio', 0)} ready for audio")

    async def route(customer):
        question = {"id": customer, "room": "support", "for": "audio", "order": "spread", "reserve_ms": 30_000}
        return await stage.ask("route", question)

    customers = ["customer-1", "customer-2"]
    routed = await asyncio.gather(*map(route, customers))
    rung = {}
    for customer, answer in zip(customers, routed):
        expect(answer["reserved"], f"nobody was held for {customer}")
        rung[customer] = answer["reserved"]["user"]
        reasons = [", ".join(way["reasons"]) for way in answer["routes"] if way["user"] == rung[customer]]
        print(f"{customer} rings {rung[customer]}: {''.join(reasons)}")
    expect(sorted(rung.values()) == ["carol", "dave"], f"each of two customers gets an agent of its own: {rung}")

    third = await route("customer-3")
    expect(third["reserved"] is None, "the third customer got an agent who is held for another")
    print("customer-3 has to wait: both are held")
    await stage.ask("route", {"id": "customer-1", "release": True})
    print(f"customer-1 hangs up, and {rung['customer-1']} is free")
    third = await route("customer-3")
    expect(third["reserved"] and third["reserved"]["user"] == rung["customer-1"], f"the free one should be rung: {third}")
    print(f"customer-3 rings {third['reserved']['user']}")
    for agent in agents.values():
        await agent.leave()


if __name__ == "__main__":
    run(support_desk)

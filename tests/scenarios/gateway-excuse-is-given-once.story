A gateway's silence excuses its sessions once, and for 60 s at most

It may be dead with all its connections. Once the 60 s are used nothing more is excused, until the session is heard again.

policy
  [engine]
  blind_after = "3s"
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "10s"
  away_after = "20s"
  stale_after = "30s"
  offline_after = "40s"
  confidence = { bands = [] }

live to the millisecond

+0s       gateway edge alice/tab ; alice/app age_ms=2000
  @+0s      session alice/app offline → active (joined)      seen=-2000ms
  @+0s      session alice/tab offline → active (joined)
  @+0s      user alice offline → active (joined)
+1s every 1s until +2s   gateway edge
  (nothing)
# Silent from then on: from 5 s to 65 s nobody ages.
+64s      …
  @+5s      engine gateway_silent                            from=+2s to=+5s
+80s      …
  @+68s     session alice/app active → idle (quiet)
  @+70s     session alice/tab active → idle (quiet)
  @+70s     user alice active → idle (quiet)
  @+78s     session alice/app idle → away (quiet)
  @+80s     session alice/tab idle → away (quiet)
  @+80s     user alice idle → away (quiet)
# It is heard, and silent again: for nothing, since no session is heard.
+81s every 1s until +82s   gateway edge
  (nothing)
+110s     …
  @+85s     engine gateway_silent                            from=+82s to=+85s
  @+88s     session alice/app away → stale (silent)
  @+90s     session alice/tab away → stale (silent)
  @+90s     user alice away → stale (silent)
  @+98s     session alice/app stale → offline (silent)
  @+100s    session alice/tab stale → offline (silent)
  @+100s    user alice stale → offline (silent)

The first device falls silent and the user falls to the second's state

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  confidence = { bands = [] }

live scale 50

+0s       alice/laptop ; alice/phone state=away
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
  @+0s      session alice/phone offline → away (joined)
+20s every 20s until +4m40s   alice/phone
  @+60s     session alice/laptop active → idle (quiet)
  @+60s     user alice active → idle (quiet)                 counts=0/1/1/0
  @+120s    session alice/laptop idle → away (quiet)
  @+120s    user alice idle → away (quiet)                   counts=0/0/2/0
# The phone holds the user where it is.
  @+180s    session alice/laptop away → stale (silent)
  @+240s    session alice/laptop stale → offline (silent)
+5m10s    alice/phone leave
  @+310s    session alice/phone away → offline (left)
  @+310s    user alice away → offline (left)                 counts=0/0/0/0
+5m30s    …
  (nothing)

Hidden beats keep a session away for hours

A tab in the background beats on: it is away, and neither active nor stale, for as long as it beats.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  hidden_after = "10s"
  confidence = { bands = [] }

ticks 3s
live scale 500

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
+30s      alice/laptop visibility=hidden
  (nothing)
+50s every 20s until +2h   alice/laptop
  @+40s     session alice/laptop active → away (hidden)      input=+0s
  @+40s     user alice active → away (hidden)
+2h5m     …
  @+7370s   session alice/laptop away → stale (silent)       seen=+7190s input=+0s
  @+7370s   user alice away → stale (silent)
  @+7430s   session alice/laptop stale → offline (silent)
  @+7430s   user alice stale → offline (silent)

More activity while active tells nobody

Heartbeats are silent: who goes on as before is no news.

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

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
+20s every 20s until +3m20s   alice/laptop
  (nothing)
+4m10s    alice/laptop input_age_ms=0
  (nothing)
+5m       …
  (nothing)

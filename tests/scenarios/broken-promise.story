A broken promise

Who promised a beat within 100 s is stale after two of them and 35 s: at 235 s of silence. Idle waits for three beats, and so
comes too late to matter; offline keeps its distance of 60 s from stale.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  promise = { factor = 2.0, slack = "35s", cap = "1h", idle_beats = 3 }
  confidence = { bands = [] }

live scale 100

+0s       alice/sensor every_ms=100000
  @+0s      session alice/sensor offline → active (joined)   every_ms=100000 next=stale@+235s
  @+0s      user alice offline → active (joined)
+320s     …
  @+235s    session alice/sensor active → stale (silent)
  @+235s    user alice active → stale (silent)
  @+295s    session alice/sensor stale → offline (silent)
  @+295s    user alice stale → offline (silent)

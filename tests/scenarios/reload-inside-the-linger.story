Reload inside the linger

A page that is reloaded says that it leaves, and comes back a moment later. With a linger, that is no event.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  leave_linger = "10s"
  confidence = { bands = [] }

live scale 50

+0s       alice/tab epoch=7 seq=1
  @+0s      session alice/tab offline → active (joined)
  @+0s      user alice offline → active (joined)
+20s      alice/tab leave epoch=7 seq=2
  (nothing)
+25s      alice/tab epoch=8 seq=1
  (nothing)
+50s      alice/tab leave epoch=8 seq=2
  (nothing)
+70s      …
  @+60s     session alice/tab active → offline (left)        incarnation=+0s ordinal=2 transport=closed seen=+25s epoch=8
  @+60s     user alice active → offline (left)

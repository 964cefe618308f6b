Leave, then a late heartbeat with an old seq

Who left is not brought back by what was under way, nor by anything of the same start.

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

+0s       alice/tab epoch=7 seq=1
  @+0s      session alice/tab offline → active (joined)      epoch=7 seq_client=1
  @+0s      user alice offline → active (joined)
+10s      alice/tab epoch=7 seq=2
  (nothing)
+20s      alice/tab leave epoch=7 seq=4
  @+20s     session alice/tab active → offline (left)        seq_client=4 seen=+10s transport=closed next=none
  @+20s     user alice active → offline (left)               counts=0/0/0/0 confidence=0 next=none seen=+10s
+25s      alice/tab epoch=7 seq=3
  (nothing)
+30s      alice/tab epoch=7 seq=5
  (nothing)
+35s      alice/tab epoch=6 seq=100
  (nothing)
+60s      …
  (nothing)

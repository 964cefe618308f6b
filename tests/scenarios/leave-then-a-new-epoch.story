Leave, then a new epoch

A higher epoch is a client that was started anew: another incarnation, and nothing is inherited.

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

+0s       alice/tab epoch=7 seq=1 rooms=["lobby"]
  @+0s      session alice/tab offline → active (joined)      rooms=["lobby"]
  @+0s      user alice offline → active (joined)
+20s      alice/tab leave epoch=7 seq=2
  @+20s     session alice/tab active → offline (left)        ordinal=2
  @+20s     user alice active → offline (left)               ordinal=2
+30s      alice/tab epoch=8 seq=1
  @+30s     session alice/tab offline → active (joined)      ordinal=1 incarnation=+30s epoch=8 seq_client=1 rooms=[]
  @+30s     user alice offline → active (joined)             ordinal=1 incarnation=+30s
# What was under way from before the leave.
+35s      alice/tab epoch=7 seq=3
  (nothing)
+60s      …
  (nothing)

The first signal joins

A session's first signal makes it active at once, and its user with it.

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
  @+0s      session alice/laptop offline → active (joined)   ordinal=1 incarnation=+0s seen=+0s input=+0s confidence=1000 next=idle@+60s
  @+0s      user alice offline → active (joined)             ordinal=1 incarnation=+0s counts=1/0/0/0 intent=open next=idle@+60s
+30s      …
  (nothing)

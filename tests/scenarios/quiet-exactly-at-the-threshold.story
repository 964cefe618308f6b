Quiet exactly at the threshold

Thresholds are inclusive: at exactly idle_after the session is idle, and one millisecond before it is not.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  confidence = { bands = [] }

live to the millisecond

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
+59s999ms …
  (nothing)
+60s      …
  @+60s     session alice/laptop active → idle (quiet)       ordinal=2 seen=+0s input=+0s next=away@+120s
  @+60s     user alice active → idle (quiet)                 ordinal=2 counts=0/1/0/0 next=away@+120s
+119s999ms …
  (nothing)
+120s     …
  @+120s    session alice/laptop idle → away (quiet)         next=stale@+180s
  @+120s    user alice idle → away (quiet)                   counts=0/0/1/0
+179s999ms …
  (nothing)
+180s     …
  @+180s    session alice/laptop away → stale (silent)       next=offline@+240s
  @+180s    user alice away → stale (silent)                 counts=0/0/0/1
+239s999ms …
  (nothing)
+240s     …
  @+240s    session alice/laptop stale → offline (silent)    next=none confidence=0
  @+240s    user alice stale → offline (silent)              counts=0/0/0/0 next=none confidence=0
# Who says that the last input was so long ago is idle at once; who says a little less is idle a little later.
+300s     bob/tab input_age_ms=60000
  @+300s    session bob/tab offline → idle (joined)          input=+240s
  @+300s    user bob offline → idle (joined)
+310s     carol/tab input_age_ms=59950
  @+310s    session carol/tab offline → active (joined)      next=idle@+310s50ms
  @+310s    user carol offline → active (joined)
+330s     …
  @+310s50ms session carol/tab active → idle (quiet)
  @+310s50ms user carol active → idle (quiet)

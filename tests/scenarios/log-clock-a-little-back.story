The log's clock goes backwards, a little

Servers' clocks jump by some milliseconds when a stream's leader changes. No time passes until the log is where it was.

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
+40s      …
  (nothing)
+38s      clock
  (nothing)
+39s      bob/tab
  @+40s     session bob/tab offline → active (joined)        incarnation=+40s
  @+40s     user bob offline → active (joined)
+80s      …
  @+60s     session alice/laptop active → idle (quiet)       seen=+0s
  @+60s     user alice active → idle (quiet)

A gateway's silence is its own

A gateway holds the connection and says so each second. When it is silent for more than 3 s, the session's ages stand still until it is
heard again.

policy
  [engine]
  blind_after = "3s"
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "10s"
  away_after = "1h"
  stale_after = "2h"
  offline_after = "3h"
  confidence = { bands = [] }

live alone scale 1

+0s       gateway edge alice/tab
  @+0s      session alice/tab offline → active (joined)
  @+0s      user alice offline → active (joined)
+1s every 1s until +2s   gateway edge
  (nothing)
# From 5 s on it is excused, and until 12 s.
+12s every 1s until +16s   gateway edge
  @+5s      engine gateway_silent                            from=+2s to=+5s
# at_ms - last_seen_ms is the silence that counted.
+18s500ms …
  @+17s     session alice/tab active → idle (quiet)          seen=+7s input=+7s
  @+17s     user alice active → idle (quiet)

Transport and sight are told as updates

What changes no state is told all the same, in its time.

policy
  [events]
  update_every = "20s"
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  hidden_after = "30m"
  disconnect_grace = "30m"
  confidence = { bands = [] }

live scale 50

+0s       alice/tab
  @+0s      session alice/tab offline → active (joined)      transport=open visibility=visible
  @+0s      user alice offline → active (joined)
+30s      alice/tab disconnect
  @+30s     session alice/tab active → active (updated)      transport=closed
# Back after 5 s, which is told 20 s after the last one.
+35s      alice/tab
  (nothing)
+60s      …
  @+50s     session alice/tab active → active (updated)      transport=open seen=+35s
+80s      alice/tab visibility=hidden
  @+80s     session alice/tab active → active (updated)      visibility=hidden
# Closed and back in sight: one event for both.
+85s      alice/tab visibility=visible
  (nothing)
+90s      alice/tab disconnect
  (nothing)
+120s     …
  @+100s    session alice/tab active → active (updated)      visibility=visible transport=closed ordinal=5

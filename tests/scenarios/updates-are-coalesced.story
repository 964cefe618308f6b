Updates are coalesced

What changes beside the state is told so long after the session's previous event at the earliest, once for all of it. An event in
between tells it already, and what is as it was is not told.

policy
  [events]
  update_every = "20s"
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  hidden_after = "30m"
  confidence = { bands = [] }

live scale 50

+0s       alice/tab
  @+0s      session alice/tab offline → active (joined)
  @+0s      user alice offline → active (joined)
+5s       alice/tab update rooms=["lobby"]
  (nothing)
+10s      alice/tab update meta={"app":"mail"}
  (nothing)
+40s      …
  @+20s     session alice/tab active → active (updated)      ordinal=2 rooms=["lobby"] meta={"app":"mail"}
# Long enough after the last one: at once.
+50s      alice/tab update meta={"app":"chat"}
  @+50s     session alice/tab active → active (updated)      ordinal=3 meta={"app":"chat"}
# There and back.
+55s      alice/tab update meta={"app":"mail"}
  (nothing)
+60s      alice/tab update meta={"app":"chat"}
  (nothing)
+80s      alice/tab visibility=hidden
  @+80s     session alice/tab active → active (updated)      ordinal=4 visibility=hidden
+85s      alice/tab update rooms=["hall"]
  (nothing)
+90s      alice/tab leave
  @+90s     session alice/tab active → offline (left)        ordinal=5 rooms=["hall"]
  @+90s     user alice active → offline (left)
+120s     …
  (nothing)

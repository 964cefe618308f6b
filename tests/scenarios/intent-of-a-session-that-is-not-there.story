An update with an intent from a session that isn't there

A calendar is nobody's device. What it says counts, and what it repeats does not, as with any session.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  confidence = { bands = [] }

live scale 50

+0s       alice/calendar update intent=busy
  (nothing)
+10s      alice/laptop
  @+10s     session alice/laptop offline → active (joined)
  @+10s     user alice offline → active (joined)             intent=busy counts=1/0/0/0 seen=+10s
+20s      alice/calendar update intent=busy
  (nothing)
+30s      alice/laptop intent=open
  @+30s     user alice active → active (intent)              intent=open
+40s      alice/calendar update intent=busy
  (nothing)
+50s      alice/calendar update intent=dnd intent_for_ms=20000
  @+50s     user alice active → active (intent)              intent=dnd until=+70s
+90s      …
  @+70s     user alice active → active (intent)              intent=open until=none

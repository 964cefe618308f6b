An intent with a time expires to open

Repeating it does not renew it.

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

+0s       alice/laptop intent=dnd intent_for_ms=30000
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)             intent=dnd until=+30s
+20s      alice/laptop intent=dnd intent_for_ms=30000
  (nothing)
+40s      alice/laptop intent=dnd intent_for_ms=30000
  @+30s     user alice active → active (intent)              intent=open until=none
# Another one is news, and so is the same after another.
+50s      alice/laptop intent=busy intent_for_ms=100000
  @+50s     user alice active → active (intent)              intent=busy until=+150s
+60s      alice/laptop intent=dnd
  @+60s     user alice active → active (intent)              intent=dnd until=none
# Two things at one instant are one event, and the state is its cause.
+70s      bob/tab intent=busy intent_for_ms=60000
  @+70s     session bob/tab offline → active (joined)
  @+70s     user bob offline → active (joined)               intent=busy until=+130s
+100s     alice/laptop
  (nothing)
+150s     …
  @+130s    session bob/tab active → idle (quiet)
  @+130s    user bob active → idle (quiet)                   intent=open until=none

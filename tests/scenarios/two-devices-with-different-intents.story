Two devices that repeat different intents with every beat do not fight

An intent counts when it differs from what the same session said last.

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

+0s       alice/laptop intent=busy
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)             intent=busy
+10s      alice/phone intent=dnd
  @+10s     session alice/phone offline → active (joined)
  @+10s     user alice active → active (intent)              intent=dnd
+20s every 20s until +4m   alice/laptop intent=busy ; alice/phone intent=dnd
  (nothing)
+250s     alice/laptop intent=open
  @+250s    user alice active → active (intent)              intent=open
+260s     alice/phone intent=dnd
  (nothing)
+280s     …
  (nothing)

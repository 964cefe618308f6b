Busy plus quiet: the intent stays busy, the state becomes idle

What a person wants and what a person does are two things.

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
  @+0s      user alice offline → active (joined)             intent=busy until=none
+80s      …
  @+60s     session alice/laptop active → idle (quiet)
  @+60s     user alice active → idle (quiet)                 intent=busy
+90s      alice/laptop
  @+90s     session alice/laptop idle → active (input)
  @+90s     user alice idle → active (input)                 intent=busy
+100s     alice/laptop intent=open
  @+100s    user alice active → active (intent)              intent=open
+130s     …
  (nothing)

Input while idle, away and stale

Whoever does something is active, from wherever. Who was stale is said to have resumed.

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
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
+70s      alice/laptop
  @+60s     session alice/laptop active → idle (quiet)
  @+60s     user alice active → idle (quiet)
  @+70s     session alice/laptop idle → active (input)       input=+70s
  @+70s     user alice idle → active (input)
+200s     alice/laptop
  @+130s    session alice/laptop active → idle (quiet)
  @+130s    user alice active → idle (quiet)
  @+190s    session alice/laptop idle → away (quiet)
  @+190s    user alice idle → away (quiet)
  @+200s    session alice/laptop away → active (input)
  @+200s    user alice away → active (input)
+390s     alice/laptop
  @+260s    session alice/laptop active → idle (quiet)
  @+260s    user alice active → idle (quiet)
  @+320s    session alice/laptop idle → away (quiet)
  @+320s    user alice idle → away (quiet)
  @+380s    session alice/laptop away → stale (silent)
  @+380s    user alice away → stale (silent)
  @+390s    session alice/laptop stale → active (resumed)    ordinal=10
  @+390s    user alice stale → active (resumed)              ordinal=10
+420s     …
  (nothing)

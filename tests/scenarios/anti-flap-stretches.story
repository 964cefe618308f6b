Anti-flap stretches the time before idle

Who is active again within 20 s of leaving active gets 20 s more before idle and away, each time, three times at most. A return
that comes later starts over.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "10m"
  offline_after = "20m"
  anti_flap = "20s"
  confidence = { bands = [] }

live scale 50

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)   next=idle@+60s
  @+0s      user alice offline → active (joined)
+70s      alice/laptop
  @+60s     session alice/laptop active → idle (quiet)
  @+60s     user alice active → idle (quiet)
  @+70s     session alice/laptop idle → active (input)       next=idle@+150s
  @+70s     user alice idle → active (input)
+160s     alice/laptop
  @+150s    session alice/laptop active → idle (quiet)       next=away@+210s
  @+150s    user alice active → idle (quiet)
  @+160s    session alice/laptop idle → active (input)       next=idle@+260s
  @+160s    user alice idle → active (input)
+270s     alice/laptop
  @+260s    session alice/laptop active → idle (quiet)
  @+260s    user alice active → idle (quiet)
  @+270s    session alice/laptop idle → active (input)       next=idle@+390s
  @+270s    user alice idle → active (input)
# No more than three times.
+400s     alice/laptop
  @+390s    session alice/laptop active → idle (quiet)       next=away@+450s
  @+390s    user alice active → idle (quiet)
  @+400s    session alice/laptop idle → active (input)       next=idle@+520s
  @+400s    user alice idle → active (input)
# Later than 20 s after leaving active: over.
+550s     alice/laptop
  @+520s    session alice/laptop active → idle (quiet)       next=away@+580s
  @+520s    user alice active → idle (quiet)
  @+550s    session alice/laptop idle → active (input)       next=idle@+610s
  @+550s    user alice idle → active (input)
+590s     …
  (nothing)

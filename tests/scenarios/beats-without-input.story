Beats without input

A client that reports its input is alive by its beats and active by its input: the beats alone keep it from being stale, and no
more than that.

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

+0s       alice/laptop input_age_ms=0
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
+20s      alice/laptop input_age_ms=20000
  (nothing)
+40s      alice/laptop input_age_ms=40000
  (nothing)
+50s every 20s until +5m10s   alice/laptop
  @+60s     session alice/laptop active → idle (quiet)       seen=+50s input=+0s
  @+60s     user alice active → idle (quiet)
  @+120s    session alice/laptop idle → away (quiet)         seen=+110s
  @+120s    user alice idle → away (quiet)
+5m20s    alice/laptop input_age_ms=5000
  @+320s    session alice/laptop away → active (input)       input=+315s
  @+320s    user alice away → active (input)
+5m50s    …
  (nothing)

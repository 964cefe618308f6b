A kept promise of a slow client

Who beats every 100 s, as promised, is active all the time: without the promise each beat would be 40 s too late. A client that
reports its input is idle by that, whatever it promised.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  promise = { factor = 2.0, slack = "35s", cap = "1h", idle_beats = 3 }
  confidence = { bands = [] }

live scale 100

+0s       alice/sensor every_ms=100000 ; bob/app every_ms=100000 state=active
  @+0s      session alice/sensor offline → active (joined)
  @+0s      user alice offline → active (joined)
  @+0s      session bob/app offline → active (joined)
  @+0s      user bob offline → active (joined)
+100s every 100s until +10m   alice/sensor ; bob/app
  @+60s     session bob/app active → idle (quiet)
  @+60s     user bob active → idle (quiet)
  @+120s    session bob/app idle → away (quiet)
  @+120s    user bob idle → away (quiet)
# Withdrawn.
+620s     alice/sensor every_ms=0
  (nothing)
+700s     …
  @+680s    session alice/sensor active → idle (quiet)       every_ms=0
  @+680s    user alice active → idle (quiet)

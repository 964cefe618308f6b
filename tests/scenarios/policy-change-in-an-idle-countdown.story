A policy change in the middle of an idle countdown

The countdown goes on from the input, to the new threshold. Who is beyond it at once falls at once, who no longer is rises.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "10m"
  stale_after = "20m"
  offline_after = "30m"
  confidence = { bands = [] }

policy patient
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "90s"
  away_after = "10m"
  stale_after = "20m"
  offline_after = "30m"
  confidence = { bands = [] }

policy strict
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "5s"
  away_after = "10m"
  stale_after = "20m"
  offline_after = "30m"
  confidence = { bands = [] }

live alone scale 50

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)   next=idle@+60s
  @+0s      user alice offline → active (joined)
+30s      policy patient
  @+30s     engine policy                                    from=+30s to=+30s
+75s      bob/tab
  @+75s     session bob/tab offline → active (joined)        next=idle@+165s
  @+75s     user bob offline → active (joined)
+100s     policy strict
  @+90s     session alice/laptop active → idle (quiet)       input=+0s
  @+90s     user alice active → idle (quiet)
  @+100s    engine policy
  @+100s    session bob/tab active → idle (policy)           input=+75s
  @+100s    user bob active → idle (policy)
+120s     policy patient
  @+120s    engine policy
  @+120s    session bob/tab idle → active (policy)           next=idle@+165s
  @+120s    user bob idle → active (policy)
+180s     …
  @+165s    session bob/tab active → idle (quiet)
  @+165s    user bob active → idle (quiet)

The log's clock goes backwards by an hour

It is told, and nobody is older or younger by it. What is told afterwards of those who were told of before has no earlier time.

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

+1h       alice/laptop
  @+3600s   session alice/laptop offline → active (joined)
  @+3600s   user alice offline → active (joined)
+1h40s    …
  (nothing)
+40s      clock
  @+40s     engine clock                                     from=+3640s to=+40s
+50s      bob/tab
  @+50s     session bob/tab offline → active (joined)        incarnation=+50s
  @+50s     user bob offline → active (joined)
# Quiet since an hour later, by the clock of now: since +0s.
+80s      …
  @+3600s   session alice/laptop active → idle (quiet)       seen=+0s input=+0s next=away@+120s
  @+3600s   user alice active → idle (quiet)
+100s     alice/laptop
  @+3600s   session alice/laptop idle → active (input)       seen=+100s
  @+3600s   user alice idle → active (input)
# Bob is told by the clock of now.
+120s     …
  @+110s    session bob/tab active → idle (quiet)            seen=+50s
  @+110s    user bob active → idle (quiet)

Input exactly at the threshold comes after it

What falls due at an instant is told, even if a signal of the same millisecond leaves it. One millisecond earlier the signal
is in time.

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

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
+59s999ms alice/laptop
  (nothing)
+119s999ms alice/laptop
  @+119s999ms session alice/laptop active → idle (quiet)
  @+119s999ms session alice/laptop idle → active (input)
  @+119s999ms user alice active → idle (quiet)
  @+119s999ms user alice idle → active (input)
+150s     …
  (nothing)

A blind interval across every threshold

Ten minutes without an entry in the log: nobody watched, so nobody is older. What fell due by then would have been told; what
comes needs the 50 s of silence that are missing, and before that 15 s of mercy for those who have to reconnect.

policy
  [engine]
  blind_after = "3s"
  reconnect_grace = "15s"
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
+10s      …
  (nothing)
+610s     blind
  @+610s    engine blind                                     from=+10s to=+610s
+700s     …
  @+675s    session alice/laptop active → idle (quiet)       seen=+615s
  @+675s    user alice active → idle (quiet)
+880s     …
  @+735s    session alice/laptop idle → away (quiet)         seen=+615s
  @+735s    user alice idle → away (quiet)
  @+795s    session alice/laptop away → stale (silent)       seen=+615s
  @+795s    user alice away → stale (silent)
  @+855s    session alice/laptop stale → offline (silent)    seen=+615s
  @+855s    user alice stale → offline (silent)

A client without seq that comes back

Without epoch and seq any heartbeat revives, after silence and after a leave.

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

+0s       alice/tab
  @+0s      session alice/tab offline → active (joined)
  @+0s      user alice offline → active (joined)
+260s     alice/tab
  @+60s     session alice/tab active → idle (quiet)
  @+60s     user alice active → idle (quiet)
  @+120s    session alice/tab idle → away (quiet)
  @+120s    user alice idle → away (quiet)
  @+180s    session alice/tab away → stale (silent)
  @+180s    user alice away → stale (silent)
  @+240s    session alice/tab stale → offline (silent)       ordinal=5
  @+240s    user alice stale → offline (silent)              ordinal=5
  @+260s    session alice/tab offline → active (joined)      ordinal=1 incarnation=+260s epoch=null seq_client=null
  @+260s    user alice offline → active (joined)             ordinal=1 incarnation=+260s
+270s     alice/tab leave
  @+270s    session alice/tab active → offline (left)
  @+270s    user alice active → offline (left)
# Nothing but a heartbeat does.
+275s     alice/tab update rooms=["lobby"]
  (nothing)
+280s     alice/tab disconnect
  (nothing)
+290s     alice/tab
  @+290s    session alice/tab offline → active (joined)      ordinal=1
  @+290s    user alice offline → active (joined)             ordinal=1
+310s     …
  (nothing)

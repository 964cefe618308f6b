The late disconnect of an old connection

A disconnect that names another connection than the latest is ignored wholly: the session has reconnected elsewhere.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  disconnect_grace = "15s"
  confidence = { bands = [] }

live scale 50

+0s       alice/phone conn=wifi seq=1
  @+0s      session alice/phone offline → active (joined)    conn=wifi
  @+0s      user alice offline → active (joined)
+20s      alice/phone conn=lte seq=2
  (nothing)
+25s      alice/phone disconnect conn=wifi seq=9
  (nothing)
# Its seq was ignored too.
+45s      alice/phone state=idle seq=3
  @+45s     session alice/phone active → idle (claimed)      conn=lte transport=open seq_client=3
  @+45s     user alice active → idle (claimed)
+50s      alice/phone disconnect conn=lte seq=4
  (nothing)
+75s      …
  @+65s     session alice/phone idle → stale (disconnected)  conn=lte transport=closed
  @+65s     user alice idle → stale (disconnected)

Disconnect and resume, inside and outside of the grace

A connection that closed says nothing yet: phones change networks. After the grace it does.

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

+0s       alice/phone
  @+0s      session alice/phone offline → active (joined)
  @+0s      user alice offline → active (joined)
# Inside.
+20s      alice/phone disconnect
  (nothing)
+30s      alice/phone
  (nothing)
# Outside.
+40s      alice/phone disconnect
  (nothing)
+65s      alice/phone
  @+55s     session alice/phone active → stale (disconnected)   transport=closed seen=+30s
  @+55s     user alice active → stale (disconnected)
  @+65s     session alice/phone stale → active (resumed)        transport=open
  @+65s     user alice stale → active (resumed)
# For good. A second disconnect changes nothing.
+75s      alice/phone disconnect
  (nothing)
+80s      alice/phone disconnect
  (nothing)
+170s     …
  @+90s     session alice/phone active → stale (disconnected)
  @+90s     user alice active → stale (disconnected)
  @+150s    session alice/phone stale → offline (disconnected)
  @+150s    user alice stale → offline (disconnected)

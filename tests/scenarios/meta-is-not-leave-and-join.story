An update of meta is not leave and join

It is an update: the same incarnation, from and to the same state. The user is who it was.

policy
  [events]
  update_every = "20s"
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  confidence = { bands = [] }

live scale 50

+0s       alice/tab meta={"app":"editor"}
  @+0s      session alice/tab offline → active (joined)      ordinal=1 meta={"app":"editor"}
  @+0s      user alice offline → active (joined)
+25s      alice/tab update meta={"app":"mail"}
  @+25s     session alice/tab active → active (updated)      ordinal=2 incarnation=+0s meta={"app":"mail"} seen=+0s
+35s      alice/tab meta={"app":"mail"}
  (nothing)
+50s      alice/tab meta={}
  @+50s     session alice/tab active → active (updated)      ordinal=3 meta={} seen=+50s
+80s      …
  (nothing)

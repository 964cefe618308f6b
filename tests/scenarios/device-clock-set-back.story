A device whose clock was set back

Its epoch is lower now. One such signal may be late; the third in a row with rising seq is not.

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

+0s       alice/phone epoch=1000 seq=10
  @+0s      session alice/phone offline → active (joined)
  @+0s      user alice offline → active (joined)
+40s      alice/phone epoch=900 seq=1
  (nothing)
+70s      alice/phone epoch=900 seq=2
  @+60s     session alice/phone active → idle (quiet)        seen=+0s
  @+60s     user alice active → idle (quiet)
# The same again doesn't count.
+75s      alice/phone epoch=900 seq=2
  (nothing)
+90s      alice/phone epoch=900 seq=3
  @+90s     session alice/phone idle → active (input)        epoch=900 seq_client=3 incarnation=+0s ordinal=3
  @+90s     user alice idle → active (input)
+100s     alice/phone epoch=900 seq=4
  (nothing)
+120s     …
  (nothing)

Mass silence while blind makes no transition

Ten minutes in which the log took nothing: twenty users were silent, and nobody watched. All come back within the mercy.

policy
  [engine]
  blind_after = "3s"
  reconnect_grace = "15s"
  [events]
  sessions = false                  # each would be told as its user is
  update_every = "1d"
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  confidence = { bands = [] }

live to the millisecond

+0s       u{1..20}/tab
  @+0s      user u{1..20} offline → active (joined)
+45s      …
  (nothing)
+10m      blind
  @+600s    engine blind                                     from=+45s to=+600s
+10m10s   u{1..20}/tab
  (nothing)
+10m70s   …
  (nothing)
# And when no more is heard they fall as always: after 5 s that are left of the mercy, and 60 s.
+10m85s   …
  @+675s   user u1 active → idle (quiet)
  @+675s   user u10 active → idle (quiet)
  @+675s   user u11 active → idle (quiet)
  @+675s   user u12 active → idle (quiet)
  @+675s   user u13 active → idle (quiet)
  @+675s   user u14 active → idle (quiet)
  @+675s   user u15 active → idle (quiet)
  @+675s   user u16 active → idle (quiet)
  @+675s   user u17 active → idle (quiet)
  @+675s   user u18 active → idle (quiet)
  @+675s   user u19 active → idle (quiet)
  @+675s   user u2 active → idle (quiet)
  @+675s   user u20 active → idle (quiet)
  @+675s   user u3 active → idle (quiet)
  @+675s   user u4 active → idle (quiet)
  @+675s   user u5 active → idle (quiet)
  @+675s   user u6 active → idle (quiet)
  @+675s   user u7 active → idle (quiet)
  @+675s   user u8 active → idle (quiet)
  @+675s   user u9 active → idle (quiet)

A user with sixty-four sessions, and one more

The one more is refused and says why. Nobody else is any worse for it. Remembered sessions count.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  confidence = { bands = [] }
  [limits]
  sessions_per_user = 64

live scale 50

+0s       alice/s1
  @+0s      session alice/s1 offline → active (joined)
  @+0s      user alice offline → active (joined)
+10s      alice/s{2..64}
  @+10s     session alice/s{2..64} offline → active (joined)
+20s      alice/s65
  @+20s     rejected limit reached: limits.sessions_per_user is 64
+25s      alice/s64 update intent=busy
  @+25s     user alice active → active (intent)              counts=64/0/0/0
+30s      alice/s2 leave
  @+30s     session alice/s2 active → offline (left)
+35s      alice/s65 ; bob/tab
  @+35s     rejected limit reached: limits.sessions_per_user is 64
  @+35s     session bob/tab offline → active (joined)
  @+35s     user bob offline → active (joined)
# Who is remembered may come back.
+40s      alice/s2
  @+40s     session alice/s2 offline → active (joined)
+50s      …
  (nothing)

Frozen for ten minutes, then thawed

Nothing is to be expected of a page that the system has suspended: it is away and not stale, for frozen_offline_after at most.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  hidden_after = "10s"
  frozen_offline_after = "15m"
  confidence = { bands = [] }

live scale 100

+0s       alice/tab ; bob/tab ; carol/tab
  @+0s      session alice/tab offline → active (joined)
  @+0s      user alice offline → active (joined)
  @+0s      session bob/tab offline → active (joined)
  @+0s      user bob offline → active (joined)
  @+0s      session carol/tab offline → active (joined)
  @+0s      user carol offline → active (joined)
+20s      alice/tab visibility=frozen ; bob/tab visibility=frozen ; carol/tab visibility=frozen
  @+20s     session alice/tab active → away (frozen)         visibility=frozen next=offline@+920s
  @+20s     user alice active → away (frozen)
  @+20s     session bob/tab active → away (frozen)
  @+20s     user bob active → away (frozen)
  @+20s     session carol/tab active → away (frozen)
  @+20s     user carol active → away (frozen)
+620s     alice/tab visibility=visible
  @+620s    session alice/tab away → active (visible)        visibility=visible input=+620s incarnation=+0s
  @+620s    user alice away → active (visible)
# A beat that says nothing of it thawed into hidden, out of sight since it froze.
+630s     bob/tab
  (nothing)
+650s     bob/tab visibility=visible
  @+650s    session bob/tab away → active (visible)
  @+650s    user bob away → active (visible)
+660s     alice/tab leave ; bob/tab leave
  @+660s    session alice/tab active → offline (left)
  @+660s    user alice active → offline (left)
  @+660s    session bob/tab active → offline (left)
  @+660s    user bob active → offline (left)
# Carol never comes back.
+940s     …
  @+920s    session carol/tab away → offline (frozen)        seen=+20s
  @+920s    user carol away → offline (frozen)

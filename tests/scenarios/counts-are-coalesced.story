Counts are coalesced

A user whose sessions come and go while the best one stays is told of them now and then.

policy
  [events]
  update_every = "20s"
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  confidence = { bands = [] }

live scale 50

+0s       alice/one
  @+0s      session alice/one offline → active (joined)
  @+0s      user alice offline → active (joined)             counts=1/0/0/0
+5s       alice/two
  @+5s      session alice/two offline → active (joined)
+10s      alice/three
  @+10s     session alice/three offline → active (joined)
+15s      alice/three leave
  @+15s     session alice/three active → offline (left)
+40s      …
  @+20s     user alice active → active (updated)             ordinal=2 counts=2/0/0/0
+50s      alice/two leave
  @+50s     session alice/two active → offline (left)
  @+50s     user alice active → active (updated)             ordinal=3 counts=1/0/0/0
# There and back.
+55s      alice/two
  @+55s     session alice/two offline → active (joined)
+60s      alice/two leave
  @+60s     session alice/two active → offline (left)
+80s      …
  (nothing)

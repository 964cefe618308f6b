An invisible user looks like one whose sessions left

Alice hides, Bob leaves. Nobody can tell which is which: neither then, nor while it lasts, nor when both are back.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  confidence = { bands = [] }

live scale 50

+0s       alice/laptop ; bob/laptop
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
  @+0s      session bob/laptop offline → active (joined)
  @+0s      user bob offline → active (joined)
+20s      alice/laptop update intent=invisible
  @+20s     user alice active → offline (left)               ordinal=2 intent=open until=none counts=0/0/0/0 confidence=0 next=none seen=+0s input=+0s
+25s      bob/laptop leave
  @+25s     session bob/laptop active → offline (left)
  @+25s     user bob active → offline (left)                 ordinal=2 intent=open until=none counts=0/0/0/0 confidence=0 next=none seen=+0s input=+0s
# What Alice does is for her own sessions.
+40s      alice/laptop
  (nothing)
+50s      alice/phone state=active
  @+50s     session alice/phone offline → active (joined)
+60s      alice/phone leave
  @+60s     session alice/phone active → offline (left)
+80s      alice/laptop intent=open
  @+80s     user alice offline → active (joined)             ordinal=1 incarnation=+80s intent=open counts=1/0/0/0
+85s      bob/laptop
  @+85s     session bob/laptop offline → active (joined)
  @+85s     user bob offline → active (joined)               ordinal=1 incarnation=+85s intent=open counts=1/0/0/0
+110s     …
  (nothing)

Of sessions in the same state, the one with the latest input stands for the user

Its confidence is the user's. Confidence is whole for 30 s of silence and halves in each 60 s beyond.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  confidence = { grace = "30s", half_life = "60s", bands = [] }

live scale 50

+0s       alice/laptop state=active
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)             confidence=1000
+20s      alice/phone state=active
  @+20s     session alice/phone offline → active (joined)
# The laptop is heard later, and the phone was touched later: silent for 90 s.
+100s     alice/laptop
  (nothing)
+110s     alice/laptop update intent=busy
  @+110s    user alice active → active (intent)              intent=busy confidence=500 seen=+100s input=+20s
+120s     alice/laptop state=active
  (nothing)
+130s     alice/laptop update intent=open
  @+130s    user alice active → active (intent)              intent=open confidence=1000
# Touched in the same millisecond: the smaller name.
+150s     bob/a state=active ; bob/b state=active
  @+150s    session bob/a offline → active (joined)
  @+150s    user bob offline → active (joined)
  @+150s    session bob/b offline → active (joined)
+230s     bob/b
  (nothing)
+240s     bob/b update intent=busy
  @+240s    user bob active → active (intent)                confidence=500
+260s     …
  (nothing)

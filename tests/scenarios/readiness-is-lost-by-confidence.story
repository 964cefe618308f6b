Readiness comes, and is lost by confidence at its exact millisecond

Ready for audio is who is active or idle, connected, can do it, and is there with a confidence of 0.8 at least. After 30 s of silence it
halves in each 60 s: at 19,316 ms beyond it is below 0.8. When it will be lost is told from the start.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  confidence = { grace = "30s", half_life = "60s", bands = [] }
  [ready]
  states = ["active", "idle"]
  min_confidence = 0.8

live scale 50

+0s       alice/phone can=["audio"]
  @+0s      session alice/phone offline → active (joined)    can=["audio"]
  @+0s      user alice offline → active (joined)             ready=["audio"]
  @+0s      ready alice [] → [audio] (joined)                ordinal=1 since=audio@+0s until=+49s316ms
+20s      alice/phone
  (nothing)
# Until 49,316 ms after that.
+80s      alice/phone
  @+69s316ms ready alice [audio] → [] (fading)               ordinal=2 until=none
  @+80s     ready alice [] → [audio] (refreshed)             ordinal=3 since=audio@+80s until=+129s316ms
+90s      alice/phone update can=["audio","video"]
  @+90s     ready alice [audio] → [audio,video] (updated)    since=audio@+80s,video@+90s
# Busy is not ready.
+100s     alice/phone update intent=busy
  @+100s    user alice active → active (intent)              intent=busy ready=[]
  @+100s    ready alice [audio,video] → [] (intent)          until=none
+110s     alice/phone update intent=open
  @+110s    user alice active → active (intent)              intent=open ready=["audio","video"]
  @+110s    ready alice [] → [audio,video] (intent)          since=audio@+110s,video@+110s
+120s     alice/phone leave
  @+120s    session alice/phone active → offline (left)
  @+120s    user alice active → offline (left)               ready=[]
  @+120s    ready alice [audio,video] → [] (left)
+140s     …
  (nothing)

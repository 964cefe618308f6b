Confidence crosses an edge of its bands

Whole for 30 s of silence, then half of it after each 60 s: 0.5 is the confidence at exactly 90 s, and belongs to the band above.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  confidence = { grace = "30s", half_life = "60s", bands = [0.5] }

live scale 50

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)   confidence=1000
  @+0s      user alice offline → active (joined)             confidence=1000
+90s      …
  (nothing)
+100s     …
  @+90s1ms  session alice/laptop active → active (fading)    ordinal=2 confidence=499 seen=+0s
  @+90s1ms  user alice active → active (fading)              ordinal=2 confidence=499 seen=+0s
+120s     alice/laptop
  @+120s    session alice/laptop active → active (refreshed) ordinal=3 confidence=1000 seen=+120s
  @+120s    user alice active → active (refreshed)           ordinal=3 confidence=1000 seen=+120s
# Of two devices, the one with the latest input stands for the user: the other one's fading is the session's alone.
+130s     alice/phone
  @+130s    session alice/phone offline → active (joined)
+150s every 20s until +230s   alice/phone
  @+210s1ms session alice/laptop active → active (fading)
+250s     alice/phone leave
  @+250s    session alice/phone active → offline (left)
  @+250s    user alice active → active (fading)              confidence=314
+270s     …
  (nothing)

Two sessions in all ordered pairs of states

The user is what the best session is. One session takes each state in turn; for each, the other goes through all of them.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "1h"
  away_after = "2h"
  stale_after = "3h"
  offline_after = "4h"
  disconnect_grace = "0s"           # a disconnect is stale at once
  confidence = { bands = [] }

live scale 50

+0s       alice/one state=active
  @+0s      session alice/one offline → active (joined)
  @+0s      user alice offline → active (joined)             counts=1/0/0/0
+10s      alice/two state=active
  @+10s     session alice/two offline → active (joined)
+20s      alice/two state=idle
  @+20s     session alice/two active → idle (claimed)
+30s      alice/two state=away
  @+30s     session alice/two idle → away (claimed)
+40s      alice/two disconnect
  @+40s     session alice/two away → stale (disconnected)
+50s      alice/two leave
  @+50s     session alice/two stale → offline (left)
# One is idle.
+60s      alice/one state=idle
  @+60s     session alice/one active → idle (claimed)
  @+60s     user alice active → idle (claimed)               counts=0/1/0/0
+70s      alice/two state=active
  @+70s     session alice/two offline → active (joined)
  @+70s     user alice idle → active (joined)                counts=1/1/0/0
+80s      alice/two state=idle
  @+80s     session alice/two active → idle (claimed)
  @+80s     user alice active → idle (claimed)               counts=0/2/0/0
+90s      alice/two state=away
  @+90s     session alice/two idle → away (claimed)
+100s     alice/two disconnect
  @+100s    session alice/two away → stale (disconnected)
+110s     alice/two leave
  @+110s    session alice/two stale → offline (left)
# One is away.
+120s     alice/one state=away
  @+120s    session alice/one idle → away (claimed)
  @+120s    user alice idle → away (claimed)                 counts=0/0/1/0
+130s     alice/two state=active
  @+130s    session alice/two offline → active (joined)
  @+130s    user alice away → active (joined)                counts=1/0/1/0
+140s     alice/two state=idle
  @+140s    session alice/two active → idle (claimed)
  @+140s    user alice active → idle (claimed)               counts=0/1/1/0
+150s     alice/two state=away
  @+150s    session alice/two idle → away (claimed)
  @+150s    user alice idle → away (claimed)                 counts=0/0/2/0
+160s     alice/two disconnect
  @+160s    session alice/two away → stale (disconnected)
+170s     alice/two leave
  @+170s    session alice/two stale → offline (left)
# One is stale.
+180s     alice/one disconnect
  @+180s    session alice/one away → stale (disconnected)
  @+180s    user alice away → stale (disconnected)           counts=0/0/0/1
+190s     alice/two state=active
  @+190s    session alice/two offline → active (joined)
  @+190s    user alice stale → active (joined)               counts=1/0/0/1
+200s     alice/two state=idle
  @+200s    session alice/two active → idle (claimed)
  @+200s    user alice active → idle (claimed)               counts=0/1/0/1
+210s     alice/two state=away
  @+210s    session alice/two idle → away (claimed)
  @+210s    user alice idle → away (claimed)                 counts=0/0/1/1
+220s     alice/two disconnect
  @+220s    session alice/two away → stale (disconnected)
  @+220s    user alice away → stale (disconnected)           counts=0/0/0/2
+230s     alice/two leave
  @+230s    session alice/two stale → offline (left)
# One is offline.
+240s     alice/one leave
  @+240s    session alice/one stale → offline (left)
  @+240s    user alice stale → offline (left)                counts=0/0/0/0
+250s     alice/two state=active
  @+250s    session alice/two offline → active (joined)      ordinal=1
  @+250s    user alice offline → active (joined)             ordinal=1 incarnation=+250s
+260s     alice/two state=idle
  @+260s    session alice/two active → idle (claimed)
  @+260s    user alice active → idle (claimed)
+270s     alice/two state=away
  @+270s    session alice/two idle → away (claimed)
  @+270s    user alice idle → away (claimed)
+280s     alice/two disconnect
  @+280s    session alice/two away → stale (disconnected)
  @+280s    user alice away → stale (disconnected)
+290s     alice/two leave
  @+290s    session alice/two stale → offline (left)
  @+290s    user alice stale → offline (left)
+310s     …
  (nothing)

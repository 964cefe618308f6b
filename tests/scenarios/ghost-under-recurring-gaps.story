A ghost under recurring gaps

Who is gone beats no more, and the log has a gap of 10 s in every 20. Mercy has to be earned: the first gaps buy 15, 10 and 5 s of
it, then each 10 s watched buy one. So the ghost is offline after three minutes instead of one, and not never.

policy
  [engine]
  blind_after = "3s"
  reconnect_grace = "15s"
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "15s"
  away_after = "30s"
  stale_after = "45s"
  offline_after = "60s"
  confidence = { bands = [] }

live to the millisecond

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
+10s      …
  (nothing)
# 300 s are earned at the start; 150 of them buy 15.
+20s      blind
  @+20s     engine blind                                     from=+10s to=+20s
+30s      …
  (nothing)
# 5 s are left; 100 of 150 buy 10 more.
+40s      blind
  @+40s     engine blind                                     from=+30s to=+40s
+50s      …
  (nothing)
# The last 50 buy 5.
+60s      blind
  @+60s     engine blind                                     from=+50s to=+60s
+70s      …
  (nothing)
+80s      blind
  @+80s     engine blind                                     from=+70s to=+80s
# 10 s were watched before the first gap, and none since.
+90s      …
  @+85s     session alice/laptop active → idle (quiet)
  @+85s     user alice active → idle (quiet)
# 10 s buy 1.
+100s     blind
  @+100s    engine blind                                     from=+90s to=+100s
+110s     …
  (nothing)
# 9 s buy 900 ms.
+120s     blind
  @+120s    engine blind                                     from=+110s to=+120s
+130s     …
  @+121s900ms session alice/laptop idle → away (quiet)
  @+121s900ms user alice idle → away (quiet)
# 9100 ms buy 910.
+140s     blind
  @+140s    engine blind                                     from=+130s to=+140s
+150s     …
  @+147s810ms session alice/laptop away → stale (silent)
  @+147s810ms user alice away → stale (silent)
# 9090 ms buy 909.
+160s     blind
  @+160s    engine blind                                     from=+150s to=+160s
+170s     …
  (nothing)
# 9091 ms buy 909.
+180s     blind
  @+180s    engine blind                                     from=+170s to=+180s
+190s     …
  @+184s628ms session alice/laptop stale → offline (silent)
  @+184s628ms user alice stale → offline (silent)

Hidden then visible, within and beyond hidden_after

Changing tabs for a moment is not being away.

policy
  [events]
  update_every = "1d"               # facts and counts are not told here
  [profile.default]
  idle_after = "60s"
  away_after = "120s"
  stale_after = "180s"
  offline_after = "240s"
  hidden_after = "10s"
  confidence = { bands = [] }

live scale 50

+0s       alice/laptop
  @+0s      session alice/laptop offline → active (joined)
  @+0s      user alice offline → active (joined)
# Back within hidden_after.
+20s      alice/laptop visibility=hidden
  (nothing)
+25s      alice/laptop visibility=visible
  (nothing)
# Beyond.
+40s      alice/laptop visibility=hidden
  (nothing)
+45s      alice/laptop
  (nothing)
+60s      alice/laptop visibility=visible
  @+50s     session alice/laptop active → away (hidden)      visibility=hidden seen=+45s input=+25s
  @+50s     user alice active → away (hidden)
  @+60s     session alice/laptop away → active (visible)     visibility=visible input=+60s
  @+60s     user alice away → active (visible)
+90s      …
  (nothing)

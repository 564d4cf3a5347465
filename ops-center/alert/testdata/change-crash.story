# What was measured before a crash still counts after it.
device r river-level
rules
  - id: fast
    when: {change: {quantity: water_level, window: 10m, above: 0.6}}
end
00:00 r water_level=2.00
05:00 r water_level=2.05
crash
10:00 r water_level=2.10
> fast r unacknowledged 0.6
crash
= fast r unacknowledged

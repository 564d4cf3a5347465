# Two readings close together are no rate: the window must be covered.
device r river-level
rules
  - id: fast
    when: {change: {quantity: water_level, window: 10m, above: 0.6}}
end
00:00 r water_level=2.00
00:30 r water_level=3.00
05:00 r water_level=3.00
10:00 r water_level=3.00
> fast r unacknowledged 6
11:00 r water_level=3.00
> fast r returned
# A gap of more than the window: nobody knows when it rose.
50:00 r water_level=9.00

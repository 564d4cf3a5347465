# Between clear and above, an alarm stays and none begins.
device river-1 river-level
rules
  - id: bd1
    when: {threshold: {quantity: water_level, above: 3.2, clear: 3.1}}
end
00:00 river-1 water_level=3.15
00:10 river-1 water_level=3.21
> bd1 river-1 unacknowledged 3.21
00:20 river-1 water_level=3.15
00:30 river-1 water_level=3.25
00:40 river-1 water_level=3.10
00:50 river-1 water_level=3.09
> bd1 river-1 returned
01:00 river-1 water_level=3.15

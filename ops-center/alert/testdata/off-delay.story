# A gust of good values does not end an alarm.
device road-1 flooded-road
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3, clear_for: 60s}}
end
00:00 road-1 water_depth=0.4
> flood road-1 unacknowledged
00:20 road-1 water_depth=0.1
01:00 road-1 water_depth=0.1
01:10 road-1 water_depth=0.4
01:30 road-1 water_depth=0.1
02:29 road-1 water_depth=0.1
02:30 road-1 water_depth=0.1
> flood road-1 returned

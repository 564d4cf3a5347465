# The condition must hold for a minute of the readings' own time.
device road-1 flooded-road
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3, for: 60s}}
end
00:00 road-1 water_depth=0.4
00:30 road-1 water_depth=0.4
00:59 road-1 water_depth=0.2       # it did not
01:10 road-1 water_depth=0.4
01:40 road-1 water_depth=0.4
02:09 road-1 water_depth=0.4
02:10 road-1 water_depth=0.4
> flood road-1 unacknowledged

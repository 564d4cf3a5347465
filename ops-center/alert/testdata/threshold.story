# A value at the limit is an alarm, and so is every one until it is below it.
device road-1 flooded-road
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3}}
end
00:00 road-1 water_depth=0.29
00:10 road-1 water_depth=0.30
> flood road-1 unacknowledged 0.3
00:20 road-1 water_depth=0.50
00:30 road-1 water_depth=0.30
00:40 road-1 water_depth=0.29
> flood road-1 returned
= flood road-1 returned

# The device reports every 30 s; after 4 intervals of silence nobody knows what
# happened in between, so the wait begins again.
device road-1 flooded-road
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3, for: 60s}}
end
00:00 road-1 water_depth=0.4
02:30 road-1 water_depth=0.4
03:00 road-1 water_depth=0.4
03:30 road-1 water_depth=0.4
> flood road-1 unacknowledged

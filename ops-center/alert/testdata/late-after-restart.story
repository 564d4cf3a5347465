# What arrives late is late for a server that was started since, too.
device road-1 flooded-road
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3}}
end
10:00 road-1 water_depth=0.1
restart
10:05 road-1 water_depth=0.9 event 09:00
10:10 road-1 water_depth=0.4
> flood road-1 unacknowledged

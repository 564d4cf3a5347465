# A backlog that arrives after the water has gone is history, not an alarm.
device road-1 flooded-road
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3}}
end
10:00 road-1 water_depth=0.1
10:10 road-1 water_depth=0.9 event 02:00
10:11 road-1 water_depth=0.1 event 02:30
10:20 road-1 water_depth=0.4
> flood road-1 unacknowledged
10:30 road-1 water_depth=0.0 event 10:15   # older than the alarm: it goes on
= flood road-1 unacknowledged

# The program dies in the middle of a delay; the journal is read again from what
# was saved, and the alarm comes at the same reading. Nothing is repeated.
device road-1 flooded-road
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3, for: 60s, clear: 0.2}}
end
00:00 road-1 water_depth=0.4
00:30 road-1 water_depth=0.4
crash
00:59 road-1 water_depth=0.4
01:00 road-1 water_depth=0.4
> flood road-1 unacknowledged
crash
= flood road-1 unacknowledged
01:20 road-1 water_depth=0.25
crash
01:30 ack flood road-1 by Lan
> flood road-1 acknowledged
01:40 road-1 water_depth=0.1
> flood road-1 normal
crash
= none
01:50 road-1 water_depth=0.25
crash
01:55 road-1 water_depth=0.9 event 01:45

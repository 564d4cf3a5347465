# A reading sent again after a lost acknowledgement counts once.
device road-1 flooded-road
device rain-1 rain-gauge
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3, for: 20s}}
  - id: downpour
    when: {threshold: {quantity: rain_total, above: 60, rate: 10m}}
end
00:00 road-1 water_depth=0.4
00:25 road-1 water_depth=0.4 event 00:00
00:26 road-1 water_depth=0.4 event 00:00
00:30 road-1 water_depth=0.1
01:00 rain-1 rain_total=100
06:00 rain-1 rain_total=104
06:01 rain-1 rain_total=104 event 06:00
11:00 rain-1 rain_total=109
11:01 rain-1 rain_total=109 event 11:00

# After a gap there is no rate until the window is covered again.
device rain-1 rain-gauge
rules
  - id: downpour
    when: {threshold: {quantity: rain_total, above: 60, rate: 10m}}
end
00:00 rain-1 rain_total=0
05:00 rain-1 rain_total=0
10:00 rain-1 rain_total=0
40:00 rain-1 rain_total=200
45:00 rain-1 rain_total=200
50:00 rain-1 rain_total=201
55:00 rain-1 rain_total=212
> downpour rain-1 unacknowledged 72

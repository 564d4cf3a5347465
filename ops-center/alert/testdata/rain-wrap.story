# The counter wraps at 13107.2 mm in the middle of the rain; the reboot that
# sets it back later counts nothing.
device rain-1 rain-gauge
rules
  - id: downpour
    when: {threshold: {quantity: rain_total, above: 60, rate: 10m, wraps: 13107.2}}
end
00:00 rain-1 rain_total=13100
05:00 rain-1 rain_total=13106
10:00 rain-1 rain_total=4
> downpour rain-1 unacknowledged 67.2
15:00 rain-1 rain_total=5
> downpour rain-1 returned
20:00 rain-1 rain_total=6
25:00 rain-1 rain_total=2
30:00 rain-1 rain_total=3

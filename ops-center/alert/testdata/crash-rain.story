# The rain of the last ten minutes survives a crash and a good-bye.
device rain-1 rain-gauge
rules
  - id: downpour
    when: {threshold: {quantity: rain_total, above: 60, rate: 10m}}
end
00:00 rain-1 rain_total=0
03:00 rain-1 rain_total=3
crash
06:00 rain-1 rain_total=6
restart
08:00 rain-1 rain_total=8
crash
10:00 rain-1 rain_total=10
> downpour rain-1 unacknowledged 60

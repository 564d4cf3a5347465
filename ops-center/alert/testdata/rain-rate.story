# A tipping bucket counts up; the rate is what fell in the last ten minutes, per
# hour. Before ten minutes are covered there is no rate.
device rain-1 rain-gauge
rules
  - id: downpour
    when: {threshold: {quantity: rain_total, above: 60, clear: 30, rate: 10m}}
end
00:00 rain-1 rain_total=500
02:00 rain-1 rain_total=510        # much, but not ten minutes yet
04:00 rain-1 rain_total=510
06:00 rain-1 rain_total=510
08:00 rain-1 rain_total=510
10:00 rain-1 rain_total=510
> downpour rain-1 unacknowledged 60
12:00 rain-1 rain_total=510        # those 10 mm are over
> downpour rain-1 returned

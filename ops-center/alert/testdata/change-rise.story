# A river rises faster than 0.6 m an hour over ten minutes.
device r river-level
rules
  - id: fast
    when: {change: {quantity: water_level, window: 10m, above: 0.6, clear: 0.3}}
end
00:00 r water_level=2.00
05:00 r water_level=2.05
10:00 r water_level=2.10
> fast r unacknowledged 0.6
15:00 r water_level=2.12      # 0.07 in ten minutes: 0.42 an hour, over clear
20:00 r water_level=2.13
> fast r returned

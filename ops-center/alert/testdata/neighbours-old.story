# What neighbours said longer ago than the window is no comparison.
device a air-quality place=106.170,20.420
device b air-quality place=106.171,20.420
device c air-quality place=106.172,20.420
device d air-quality place=106.173,20.420
device far air-quality place=106.400,20.420
rules
  - id: odd
    when: {neighbours: {quantity: pm25, metres: 1000, window: 10m, min: 3, off: 40, clear: 20}}
end
00:00 b pm25=30
00:00 c pm25=32
00:00 d pm25=34
11:00 a pm25=100
11:10 b pm25=30
11:10 c pm25=32
11:10 d pm25=34
11:20 a pm25=100
> odd a unacknowledged

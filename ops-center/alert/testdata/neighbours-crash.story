# The neighbours' values survive a crash.
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
00:10 c pm25=32
00:40 d pm25=34
crash
01:00 a pm25=100
> odd a unacknowledged
restart
= odd a unacknowledged

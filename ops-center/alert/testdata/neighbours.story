# A station far from the median of those around it; one far away has no say.
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
00:01 far pm25=500
00:10 a pm25=100           # two neighbours are too few to say who is wrong
00:20 d pm25=34
01:00 a pm25=100
> odd a unacknowledged 100
02:00 a pm25=60            # 28 off
03:00 a pm25=50
> odd a returned

# A device of a drill is no neighbour of a real one.
device a air-quality place=106.170,20.420
device b air-quality place=106.171,20.420
device c air-quality place=106.172,20.420
device x air-quality place=106.172,20.421 exercise=drill-1
rules
  - id: odd
    when: {neighbours: {quantity: pm25, metres: 1000, window: 10m, min: 2, off: 40}}
end
00:00 b pm25=30
00:00 x pm25=500
00:10 a pm25=100
00:20 c pm25=30
00:30 a pm25=100
> odd a unacknowledged

# Not within ten minutes of each other.
device a flooded-road place=106.1700,20.4200
device b flooded-road place=106.1720,20.4200
device c flooded-road place=106.1740,20.4200
device d flooded-road place=106.1900,20.4200
device e flooded-road place=106.1760,20.4200
rules
  - id: quarter
    when: {cluster: {quantity: water_depth, count: 3, within: 500, window: 10m, where: {above: 0.2, clear: 0.1}}}
end
00:00 a water_depth=0.3
06:00 b water_depth=0.3
12:00 c water_depth=0.4
13:00 a water_depth=0.3
> quarter cluster:a unacknowledged

# Two clusters that grow together are one: the first goes on, the other is over.
device a flooded-road place=106.1700,20.4200
device b flooded-road place=106.1720,20.4200
device m flooded-road place=106.1740,20.4200
device y flooded-road place=106.1760,20.4200
device z flooded-road place=106.1780,20.4200
rules
  - id: quarter
    when: {cluster: {quantity: water_depth, count: 2, within: 250, window: 10m, where: {above: 0.2}}}
end
00:00 a water_depth=0.3
00:10 b water_depth=0.3
> quarter cluster:a unacknowledged
00:20 y water_depth=0.3
00:30 z water_depth=0.3
> quarter cluster:y unacknowledged
01:00 m water_depth=0.3
> quarter cluster:y returned
= quarter cluster:y returned, quarter cluster:a unacknowledged

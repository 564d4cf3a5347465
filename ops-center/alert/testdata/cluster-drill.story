# Two real sensors and one of a drill are no cluster.
device a flooded-road place=106.1700,20.4200
device b flooded-road place=106.1720,20.4200
device x flooded-road place=106.1740,20.4200 exercise=drill-1
rules
  - id: quarter
    when: {cluster: {quantity: water_depth, count: 3, within: 500, window: 10m, where: {above: 0.2}}}
end
00:00 a water_depth=0.3
00:10 b water_depth=0.3
00:20 x water_depth=0.3
= none

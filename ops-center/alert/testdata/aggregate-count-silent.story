# A device that says nothing for the window is not counted any more.
device a flooded-road
device b flooded-road
rules
  - id: wet-ward
    when: {aggregate: {of: count, quantity: water_depth, layer: wards, window: 5m, where: {above: 0.2}, above: 2}}
end
00:00 a water_depth=0.30 in wards/w-1
00:20 b water_depth=0.25 in wards/w-1
> wet-ward zone:wards/w-1 unacknowledged
05:10 b water_depth=0.25 in wards/w-1
> wet-ward zone:wards/w-1 returned

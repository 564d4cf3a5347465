# How many roads of a ward are under water, and which one no longer is.
device a flooded-road
device b flooded-road
device c flooded-road
rules
  - id: wet-ward
    when: {aggregate: {of: count, quantity: water_depth, layer: wards, window: 10m, where: {above: 0.2, clear: 0.1}, above: 2}}
end
00:00 a water_depth=0.30 in wards/w-1
00:10 b water_depth=0.15 in wards/w-1
00:20 c water_depth=0.25 in wards/w-1
> wet-ward zone:wards/w-1 unacknowledged 2
01:00 c water_depth=0.15 in wards/w-1    # not well before 0.10
02:00 c water_depth=0.05 in wards/w-1
> wet-ward zone:wards/w-1 returned 2

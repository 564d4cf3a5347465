# A bus enters a flood basin, and leaves it.
device bus-1 bus
rules
  - id: basin
    when: {enter: {layer: flood_basins, codes: [fb-1, fb-2]}}
end
00:00 bus-1 speed=30 in wards/w-1
00:05 bus-1 speed=30 in wards/w-1 flood_basins/fb-9
00:10 bus-1 speed=30 in wards/w-1 flood_basins/fb-2
> basin bus-1 unacknowledged
00:15 bus-1 speed=30 in flood_basins/fb-1
00:20 bus-1 speed=30 at 0,0             # no fix: neither inside nor outside
00:25 bus-1 speed=30 in wards/w-1
> basin bus-1 returned

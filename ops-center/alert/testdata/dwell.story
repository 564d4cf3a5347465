# A bus may pass through a basin, and not stay in it.
device bus-1 bus
rules
  - id: stays
    when: {dwell: {layer: flood_basins, codes: [fb-1], for: 10s, clear_for: 5s}}
end
00:00 bus-1 speed=30 in flood_basins/fb-1
00:05 bus-1 speed=30 in flood_basins/fb-1
00:08 bus-1 speed=30 in wards/w-1
00:10 bus-1 speed=0 in flood_basins/fb-1
00:15 bus-1 speed=0 in flood_basins/fb-1
00:20 bus-1 speed=0 in flood_basins/fb-1
> stays bus-1 unacknowledged
00:25 bus-1 speed=30 in wards/w-1
00:30 bus-1 speed=30 in wards/w-1
> stays bus-1 returned

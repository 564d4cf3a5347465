# Fast near a school, and fast elsewhere.
device bus-1 bus
rules
  - id: school
    when: {speed: {layer: schools, above: 40, clear: 35}}
end
00:00 bus-1 speed=60 in wards/w-1
00:05 bus-1 speed=60 in schools/s-1
> school bus-1 unacknowledged 60
00:10 bus-1 speed=38 in schools/s-1
00:15 bus-1 speed=60 in wards/w-1
> school bus-1 returned

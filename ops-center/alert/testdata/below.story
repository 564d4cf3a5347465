# Below works like above, upside down.
device pipe-1 water-pressure
rules
  - id: burst
    when: {threshold: {quantity: water_pressure, below: 150000, clear: 180000}}
end
00:00 pipe-1 water_pressure=250000
00:10 pipe-1 water_pressure=150000
> burst pipe-1 unacknowledged 150000
00:20 pipe-1 water_pressure=170000
00:30 pipe-1 water_pressure=180000
00:40 pipe-1 water_pressure=180001
> burst pipe-1 returned

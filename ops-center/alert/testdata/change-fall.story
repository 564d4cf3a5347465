# Water pressure that falls is a burst; that it rises again is none.
device p water-pressure
rules
  - id: burst
    when: {change: {quantity: water_pressure, window: 2m, below: -600000}}
end
00:00 p water_pressure=300000
01:00 p water_pressure=290000
02:00 p water_pressure=280000
> burst p unacknowledged -600000
03:00 p water_pressure=290000
> burst p returned
04:00 p water_pressure=300000

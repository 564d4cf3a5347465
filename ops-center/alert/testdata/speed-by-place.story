# A receiver that tells no speed: 500 m in 30 s are 60 km/h.
device bus-1 bus
rules
  - id: school
    when: {speed: {layer: schools, above: 40}}
end
00:00 bus-1 battery=90 in schools/s-1 at 106.1700,20.4200
00:30 bus-1 battery=90 in schools/s-1 at 106.1748,20.4200
> school bus-1 unacknowledged 60.0236
01:00 bus-1 battery=90 in schools/s-1 at 106.1750,20.4200
> school bus-1 returned

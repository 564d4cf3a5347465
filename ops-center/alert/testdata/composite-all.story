# Water and no power in the same ward.
device a flooded-road
device p transformer
rules
  - id: flood
    priority: 2
    when: {threshold: {quantity: water_depth, above: 0.3}}
  - id: dark
    priority: 2
    when: {threshold: {quantity: voltage, below: 100}}
  - id: crisis
    priority: 1
    when: {composite: {all: [flood, dark], layer: wards}}
end
00:00 a water_depth=0.5 in wards/w-1
> flood a unacknowledged
00:10 p voltage=0 in wards/w-2       # another ward
> dark p unacknowledged
00:40 p voltage=230 in wards/w-2
> dark p returned
01:10 p voltage=0 in wards/w-1
> dark p unacknowledged
> crisis zone:wards/w-1 unacknowledged
01:40 a water_depth=0.1 in wards/w-1
> flood a returned
> crisis zone:wards/w-1 returned

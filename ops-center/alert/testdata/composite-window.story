# Only when both began within five minutes.
device a flooded-road
device p transformer
rules
  - id: flood
    when: {threshold: {quantity: water_depth, above: 0.3}}
  - id: dark
    when: {threshold: {quantity: voltage, below: 100}}
  - id: crisis
    when: {composite: {all: [flood, dark], window: 5m}}
end
00:00 a water_depth=0.5
> flood a unacknowledged
06:00 p voltage=0
> dark p unacknowledged
07:00 a water_depth=0.1
> flood a returned
07:30 a water_depth=0.5
> flood a unacknowledged
> crisis city:all unacknowledged
20:00 a water_depth=0.5
= crisis city:all unacknowledged, flood a unacknowledged, dark p unacknowledged

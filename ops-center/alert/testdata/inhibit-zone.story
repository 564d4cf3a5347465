# While the flood stands in a ward, the noise there is expected; elsewhere it is
# news, and when the water is gone so is the excuse.
device f flooded-road
device a noise
device b noise
rules
  - id: flood
    inhibits: {rules: [loud], layer: wards}
    when: {threshold: {quantity: water_depth, above: 0.3}}
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 f water_depth=0.5 in wards/w-1
> flood f unacknowledged
00:10 a noise=85 in wards/w-1
> loud a suppressed
00:10 b noise=85 in wards/w-2
> loud b unacknowledged
00:20 tick
= loud b unacknowledged, flood f unacknowledged, loud a suppressed covered-by flood group rule:flood@wards/w-1
01:00 f water_depth=0.1 in wards/w-1
> flood f returned
01:01 tick
> loud a unacknowledged

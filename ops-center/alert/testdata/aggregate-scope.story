# A scope by zones leaves the other zones of the layer alone.
device a air-quality
rules
  - id: ward-air
    scope: {zones: [{layer: wards, codes: [w-2]}]}
    when: {aggregate: {of: max, quantity: pm25, layer: wards, window: 5m, above: 80}}
end
00:00 a pm25=200 in wards/w-1
01:00 a pm25=200 in wards/w-2
> ward-air zone:wards/w-2 unacknowledged

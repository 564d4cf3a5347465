# A drill has its own mean: the real one does not move.
device a air-quality
device x air-quality exercise=drill-7
rules
  - id: ward-air
    when: {aggregate: {of: mean, quantity: pm25, layer: wards, window: 5m, coverage: 0, above: 80}}
end
00:00 a pm25=20 in wards/w-1
00:10 x pm25=400 in wards/w-1
> ward-air zone:wards/w-1~drill-7 unacknowledged 400
00:30 a pm25=20 in wards/w-1

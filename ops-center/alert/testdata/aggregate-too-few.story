# One station is not a ward when the rule asks for two.
device a air-quality
device b air-quality
device c air-quality
rules
  - id: ward-air
    when: {aggregate: {of: mean, quantity: pm25, layer: wards, window: 10m, devices: 2, above: 80, clear: 60}}
end
00:00 a pm25=200 in wards/w-1
04:00 a pm25=200 in wards/w-1
09:00 a pm25=200 in wards/w-1
10:00 b pm25=200 in wards/w-1     # b has no history yet
18:00 b pm25=200 in wards/w-1     # the window holds what a said at 09:00
> ward-air zone:wards/w-1 unacknowledged 200

# The same reading again and one that comes late change nothing.
device a air-quality
device b air-quality
device c air-quality
rules
  - id: ward-air
    when: {aggregate: {of: mean, quantity: pm25, layer: wards, window: 10m, devices: 2, above: 80, clear: 60}}
end
00:00 a pm25=70 in wards/w-1
00:00 b pm25=70 in wards/w-1
08:00 a pm25=70 in wards/w-1
08:00 a pm25=70 in wards/w-1
08:10 b pm25=70 in wards/w-1
08:20 b pm25=900 in wards/w-1 event 07:00
08:20 b pm25=900 in wards/w-1 event 08:10
09:00 a pm25=70 in wards/w-1
= none

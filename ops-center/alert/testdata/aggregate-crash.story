# A crash in the middle of the window, and again after the alarm.
device a air-quality
device b air-quality
device c air-quality
rules
  - id: ward-air
    when: {aggregate: {of: mean, quantity: pm25, layer: wards, window: 10m, devices: 2, above: 80, clear: 60}}
end
00:00 a pm25=90 in wards/w-1
00:00 b pm25=90 in wards/w-1
04:00 a pm25=90 in wards/w-1
crash
08:00 b pm25=90 in wards/w-1
> ward-air zone:wards/w-1 unacknowledged 90
crash
restart
08:30 a pm25=90 in wards/w-1
= ward-air zone:wards/w-1 unacknowledged

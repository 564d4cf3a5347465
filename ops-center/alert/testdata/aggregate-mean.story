# The mean of a ward, over stations that have most of the window. A station that
# reports often counts once.
device a air-quality
device b air-quality
device c air-quality
rules
  - id: ward-air
    when: {aggregate: {of: mean, quantity: pm25, layer: wards, window: 10m, devices: 2, above: 80, clear: 60}}
end
00:00 a pm25=90 in wards/w-1
00:00 b pm25=90 in wards/w-1
00:00 c pm25=500 in wards/w-2      # alone in its ward
04:00 a pm25=90 in wards/w-1
04:10 a pm25=90 in wards/w-1
04:20 a pm25=90 in wards/w-1
08:00 b pm25=74 in wards/w-1      # b: 82 on the mean; a reaches back 8 minutes too
> ward-air zone:wards/w-1 unacknowledged 86
09:00 c pm25=500 in wards/w-2
= ward-air zone:wards/w-1 unacknowledged
18:30 a pm25=50 in wards/w-1      # all that is older has left the window
19:00 b pm25=50 in wards/w-1
26:20 a pm25=50 in wards/w-1      # b reaches back over 7:20 min, three quarters but for an edge
> ward-air zone:wards/w-1 returned
